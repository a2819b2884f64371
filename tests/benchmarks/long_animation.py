"""Long clips by the bundled model: whether time and memory grow as they should, and what was told.

Every clip is the sample dance, to and fro, as keypoints in a file and drawn in a video.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import numpy as np

from dancelcm_cli.animate.keypoint_files import write_keypoints
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import write_video
from dancelcm_cli.data.weight_files import CACHE_VARIABLE
from dancelcm_cli.perception.drawing import draw_pose
from dancelcm_cli.perception.keypoints import read_annotation
from tests.benchmarks.one_animation import Taken, in_a_process, predict_in_a_process
from tests.benchmarks.tables import Report

TIME_BOUND, MEMORY_BOUND, SEAM_BOUND, FORECAST_BOUND = 1.1, 1.2, 1.1, 1.25
FPS, SIZE = Fraction(12), (384, 256)  # of the sample dance
MEBIBYTE = 2**20
WriteDance = Callable[[Path, int], Path]


def dance(num_frames: int) -> np.ndarray:
    """Return the keypoints `(F, 134, 3)` of the sample dance, to and fro."""
    keypoints = read_annotation(bundled("samples/driving.npz"), *SIZE)
    there = range(len(keypoints))
    order = [*there, *there[-2:0:-1]]
    return keypoints[[order[frame % len(order)] for frame in range(num_frames)]]


def write_dance(folder: Path, num_frames: int) -> Path:
    path = folder / f"{num_frames}.npz"
    write_keypoints(path, dance(num_frames), FPS, SIZE)
    return path


def draw_dance(folder: Path, num_frames: int) -> Path:
    path = folder / f"drawn-{num_frames}.mp4"
    write_video(path, (draw_pose(keypoints, *SIZE) for keypoints in dance(num_frames)), FPS)
    return path


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for a while, and a cache of its own to the processes that are started."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, {CACHE_VARIABLE: str(Path(folder) / "cache")}),
    ):
        yield Path(folder)


def compare_lengths(report: Report, lengths: Sequence[int]) -> None:
    """Hold the longest clip against the shortest: time for a frame, and memory."""
    for kind, write in (("keypoints", write_dance), ("drawn poses", draw_dance)):
        with scratch() as folder:
            in_a_process(write(folder, 2), folder / "first.mp4")  # looks for the person
            taken = {count: _take(write, folder, count) for count in lengths}
        rows: list[tuple[object, ...]] = [_row(count, one) for count, one in taken.items()]
        short, long = min(taken), max(taken)
        times = [
            getattr(taken[long], clock) / long / (getattr(taken[short], clock) / short)
            for clock in ("seconds", "processor_seconds")
        ]
        memory = taken[long].peak_bytes / taken[short].peak_bytes
        rows.append(("times", "", "", *(f"{time:.2f}" for time in times), f"{memory:.2f}", ""))
        rows.append(("bound", "", "", TIME_BOUND, TIME_BOUND, MEMORY_BOUND, SEAM_BOUND))
        columns = (
            "frames",
            "seconds",
            "processor, s",
            "a frame, ms",
            "processor, ms",
            "memory, MiB",
            "seams",
        )
        report.table(f"{short} against {long} frames, {kind}", columns, rows)


def _take(write: WriteDance, folder: Path, num_frames: int) -> Taken:
    return in_a_process(write(folder, num_frames), folder / f"{num_frames}.mp4")


def _row(count: int, taken: Taken) -> tuple[object, ...]:
    return (
        count,
        f"{taken.seconds:.1f}",
        f"{taken.processor_seconds:.1f}",
        f"{1e3 * taken.seconds / count:.0f}",
        f"{1e3 * taken.processor_seconds / count:.0f}",
        f"{taken.peak_bytes / MEBIBYTE:.0f}",
        "" if taken.seam_ratio is None else f"{taken.seam_ratio:.3f}",
    )


def compare_forecast(report: Report, lengths: Sequence[int]) -> None:
    """Hold what `--dry-run` says against what is then measured, each in a new process."""
    rows: list[tuple[object, ...]] = []
    with scratch() as folder:
        for count in lengths:
            driving = write_dance(folder, count)
            predicted = predict_in_a_process(driving, folder / f"{count}.mp4")
            taken = in_a_process(driving, folder / f"{count}.mp4")
            measured = taken.load_seconds + taken.seconds
            ratio = predicted / measured
            rows.append((count, f"{predicted:.1f}", f"{measured:.1f}", f"{ratio:.2f}"))
    rows.append(("bound", "", "", f"{1 / FORECAST_BOUND:.2f} to {FORECAST_BOUND}"))
    columns = ("frames", "predicted, s", "measured, s", "times")
    report.table("What --dry-run says against what it takes", columns, rows)
