"""An evaluation gives the same numbers whoever shares the work."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.config.schema import EvaluateConfig, Recipe
from dancelcm_cli.evaluate.datasets import open_dataset
from dancelcm_cli.evaluate.frame_log import FRAME_LOG, read_curves
from dancelcm_cli.evaluate.report import read_results
from dancelcm_cli.evaluate.results import EvaluationResult
from dancelcm_cli.evaluate.runner import evaluate_dataset
from dancelcm_cli.evaluate.web_report import WEB_REPORT
from dancelcm_cli.progress import SilentProgress

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def evaluate(count: int, truth: Path, made: Path, output: Path) -> EvaluationResult:
    command = [
        sys.executable, "-m", "dancelcm_cli", "evaluate", "--dataset", "folder", "--truth",
        str(truth), "--predictions", str(made), "--metrics", "mae,ssim,flicker", "--device",
        "cpu", "--output", str(output), "--set", "evaluate.height=16", "--set", "evaluate.width=16",
    ]  # fmt: skip
    port = str(free_port())
    shared = {
        **os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    runs = [
        subprocess.Popen(
            command, cwd=ROOT, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(count)
    ]
    assert [run.wait(timeout=240) for run in runs] == [0] * count
    return read_results(output / "results.json")


@pytest.mark.slow
def test_one_and_two_processes_give_the_same_numbers(
    tmp_path: Path, write_videos: Callable[..., Path]
) -> None:
    truth = write_videos(tmp_path / "truth", (5, 3, 4))
    made = write_videos(tmp_path / "made", (5, 3, 4), height=48, width=32)
    one = evaluate(1, truth, made, tmp_path / "one")
    two = evaluate(2, truth, made, tmp_path / "two")
    assert one == two
    names = [video.name for video in one.rows[0].videos]
    curves = [read_curves(tmp_path / name / FRAME_LOG, names) for name in ("one", "two")]
    assert curves[0] == curves[1]
    for name in ("one", "two"):
        files = {path.name for path in (tmp_path / name).iterdir()} - {".lock"}
        assert {FRAME_LOG, WEB_REPORT, "protocol.json", "recipe.toml"} < files
        assert len(files) == 7  # nothing is left of the parts


@pytest.mark.weights
def test_batches_of_one_and_of_eight_clips_give_the_same_numbers(
    tmp_path: Path, write_videos: Callable[..., Path]
) -> None:
    truth = write_videos(tmp_path / "truth", (20, 17), height=32, width=32)
    made = write_videos(tmp_path / "made", (20, 17), height=48, width=32)
    config = EvaluateConfig(height=32, width=32, metrics=("fvd", "mae"))
    values = []
    for size in (1, 8):
        recipe = Recipe(device="cpu", evaluate=replace(config, batch_size=size))
        result = evaluate_dataset(
            open_dataset("folder", truth), tmp_path / str(size), recipe, SilentProgress(), [made]
        )
        values.append([[e.value for e in row.estimates.values()] for row in result.rows])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
