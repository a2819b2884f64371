"""All commands in a row, at the smallest size, on the bundled samples, with a kill midway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dancelcm_cli.app import app
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.video import probe_video, read_frames

SMOKE = ["--recipe", "smoke"]


def dancelcm(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def interrupt_after_a_checkpoint(arguments: list[str | Path], run: Path) -> str:
    """Start a command, send Ctrl-C once it has written a checkpoint; return what it said."""
    command = [sys.executable, "-m", "dancelcm_cli", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 90
        while not list(run.glob("checkpoints/step-*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    return said


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two rendered dancers with exact keypoints and one real person without."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("dance/10002.mp4", "dance/10002.npz", "dance/10006.mp4", "dance/10006.npz"):
        source = bundled(f"samples/{name}")
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "person.mp4").write_bytes(bundled("samples/person.mp4").read_bytes())
    return folder


def test_from_videos_to_a_scored_animation_with_a_resume_in_the_middle(
    videos: Path, tmp_path: Path
) -> None:
    frames, shards = tmp_path / "frames", tmp_path / "shards"
    dancelcm("preprocess", videos, *SMOKE, "--store", "frames", "--output", frames)
    dancelcm("train", frames, *SMOKE, "--part", "autoencoder", "--output", tmp_path / "ae")
    autoencoder = tmp_path / "ae" / "model"
    dancelcm("preprocess", videos, *SMOKE, "--model", autoencoder, "--output", shards)
    assert {row.source for row in ShardReader(shards).rows} == {
        "10002.mp4",
        "10006.mp4",
        "person.mp4",
    }

    teacher = tmp_path / "teacher"
    settings = ["--set", "train.steps=40", "--set", "train.validate_every=1000"]
    arguments = ["train", shards, *SMOKE, *settings, "--init", autoencoder, "--output", teacher]
    said = interrupt_after_a_checkpoint(arguments, teacher)
    assert "--resume" in said
    assert not (teacher / "model").exists()
    dancelcm("train", "--resume", teacher)
    steps = [row["step"] for row in read_rows(teacher / "metrics.jsonl")]
    assert steps == sorted(steps) and steps[-1] == 40

    student = tmp_path / "student"
    distill = [
        "distill", shards, *SMOKE, "--segments", "2", "--teacher", teacher / "model",
        "--output", student,
    ]  # fmt: skip
    assert "seconds per step" in dancelcm(*distill, "--dry-run")
    assert not student.exists()
    dancelcm(*distill, "--tensorboard")
    assert list((student / "tensorboard").iterdir())
    video = tmp_path / "result.mp4"
    dancelcm(
        "animate", bundled("samples/reference.png"), bundled("samples/driving.mp4"), *SMOKE,
        "--model", student / "model", "--output", video,
    )  # fmt: skip
    info, driving = probe_video(video), probe_video(bundled("samples/driving.mp4"))
    assert (info.num_frames, info.fps) == (8, driving.fps)
    assert read_frames(video)[0].std() > 1.0
    record = json.loads(video.with_suffix(".json").read_text())
    assert record["steps"] == 2 and "synthetic" in record["content"]

    table = dancelcm(
        "evaluate", "--dataset", "dance", *SMOKE, "--model", student / "model",
        "--output", tmp_path / "report",
    )  # fmt: skip
    assert "repeated reference frame" in table
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    scores = [row["estimates"]["psnr"]["value"] for row in results["rows"]]
    assert len(scores) == 2 and np.isfinite(scores).all()


def test_the_readmes_first_command_makes_a_video_with_the_bundled_student(tmp_path: Path) -> None:
    video = tmp_path / "dance.mp4"
    dancelcm(
        "animate", bundled("samples/reference.png"), bundled("samples/driving.mp4"),
        "--steps", "4", "--output", video,
    )  # fmt: skip
    frames, info = read_frames(video)
    truth, _ = read_frames(bundled("samples/driving.mp4"), None, 192, 128)
    assert (info.num_frames, info.height, info.width) == (24, 192, 128)
    still = np.repeat(truth[:1], 24, axis=0)
    moved = np.abs(truth.astype(int) - still).max(axis=-1) > 40
    error = np.abs(frames.astype(int) - truth)[moved].mean()
    assert error < np.abs(still.astype(int) - truth)[moved].mean()  # where it moves, we follow
