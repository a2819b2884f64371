"""Runs that are killed at any moment, and how much memory a long video takes."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.video import write_video
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.progress import SilentProgress
from tests.preprocess.folders import contents

WriteAnnotated = Callable[..., Path]
pytestmark = pytest.mark.slow

MEASURE = """
import resource, sys
from pathlib import Path
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.progress import SilentProgress
sizes = ["height=32", "width=24", "num_frames=96", "store=frames", "pose_detector=annotation"]
recipe = load_recipe(None, [f"preprocess.{size}" for size in sizes])
preprocess_videos(Path(sys.argv[1]), Path(sys.argv[2]), None, recipe, SilentProgress())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def killed_after(seconds: float, work: Callable[[], object]) -> bool:
    """Do `work` in a fork and kill it after a while; tell whether it was still at it."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(seconds)
    if child.pid is None or not child.is_alive():
        return False
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    return True


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_at_twenty_random_moments_the_bytes_are_the_same(
    tmp_path: Path, model: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    videos = tmp_path / "videos"
    for number in range(4):
        write_annotated(videos / f"{number}.mp4", 13 + number, seen_until=10)
    recipe = replace(recipe, preprocess=replace(recipe.preprocess, shard_megabytes=1))
    run = partial(preprocess_videos, videos, model=model, recipe=recipe, progress=SilentProgress())
    run(output=tmp_path / "first" / "shards")  # loads what there is to load
    started = time.perf_counter()
    run(output=tmp_path / "whole" / "shards")
    usual = time.perf_counter() - started
    whole, moments = contents(tmp_path / "whole"), random.Random(0)
    kills = 0
    for attempt in range(20):
        output = tmp_path / str(attempt) / "shards"
        kills += killed_after(moments.uniform(0.02, usual), partial(run, output=output))
        run(output=output)
        assert contents(output.parent) == whole
    assert kills >= 10


def test_a_long_video_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    short, long = (peak_memory(tmp_path, seconds) for seconds in (10, 600))
    assert long <= 1.2 * short


def peak_memory(folder: Path, seconds: int) -> int:
    """Return the most memory that a run on a video of so many seconds took, in kilobytes."""
    num_frames, video = 12 * seconds, folder / f"{seconds}.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (64, 120, 160, 3), np.uint8)
    write_video(video, (noise[number % 64] for number in range(num_frames)), 12, crf=35)
    points = np.random.default_rng(0).uniform(30, 90, (num_frames, 134, 2)).astype(np.float32)
    visible = np.ones((num_frames, 134), bool)
    visible[:, [0, 14, 15]] = False  # no face to look for
    np.savez(video.with_suffix(".npz"), keypoints=points, visible=visible)
    arguments = [sys.executable, "-c", MEASURE, str(video), str(folder / f"shards-{seconds}")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return int(done.stdout)
