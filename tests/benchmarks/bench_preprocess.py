"""How fast videos become clips, by stage and end to end, and how exact what is found in them is.

    python tests/benchmarks/bench_preprocess.py speed VIDEOS [--workers 2]
    python tests/benchmarks/bench_preprocess.py keypoints VIDEOS [--every 12]

VIDEOS is a folder of videos; `keypoints` needs exact annotations beside them, `speed` leaves them
aside. `speed` compares a pool's rate with that of its slowest stage alone. `keypoints` gives the
median error of every body point in body heights, and how often a face is found where one is seen.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.perception.face import FaceCropper
from dancelcm_cli.perception.keypoints import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    RIGHT_HAND,
    load_detector,
    read_annotation,
)
from dancelcm_cli.preprocess.engine import Engine, InProcess, LocalPool, usable_cpus
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.progress import SilentProgress

JOINTS = [
    *("nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder"),
    *("left elbow", "left wrist", "right hip", "right knee", "right ankle", "left hip"),
    *("left knee", "left ankle", "right eye", "left eye", "right ear", "left ear"),
]
PARTS = {"feet": FEET, "face": FACE, "left hand": LEFT_HAND, "right hand": RIGHT_HAND}
NOSE = 0
CORE = [NOSE, 14, 15]  # and eyes: the face is in view


def measure_speed(videos: Path, workers: int) -> None:
    """Print frames per second by stage, alone and with a pool."""
    recipe = Recipe(device="cpu")
    recipe = replace(recipe, preprocess=replace(recipe.preprocess, pose_detector="blazepose"))
    with tempfile.TemporaryDirectory() as folder:
        alone, stages = run(videos, Path(folder) / "alone", recipe, InProcess(), 1)
        work = sum(stages.values())
        for stage, seconds in sorted(stages.items(), key=lambda item: -item[1]):
            rate = work / seconds * alone
            print(f"    {stage:8} {rate:8.1f} frames/s if it were alone, {seconds / work:6.1%}")
        with StartedPool(workers) as pool:
            rate, _ = run(videos, Path(folder) / "pool", recipe, pool, workers)
    slowest, seconds = max(stages.items(), key=lambda item: item[1])
    bound = work / seconds * alone
    print(f"    {rate / bound:.1%} of one process that does nothing but {slowest}")
    print(f"    {rate / bound / workers:.1%} of {workers} processes that do nothing but {slowest}")


class StartedPool(LocalPool):
    """A pool whose processes have loaded what they need before the clock runs."""

    def __enter__(self) -> StartedPool:
        if not hasattr(self, "_pool"):
            super().__enter__()
            list(self.map(warm_up, range(self._workers)))
            self._depth = 0
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if not self._depth:
            super().__exit__(None, None, None)


def warm_up(number: int) -> None:
    """Import what the stages need; slow enough for every worker to get one."""
    import dancelcm_cli.preprocess.stages  # noqa: F401

    time.sleep(5)


def run(
    videos: Path, output: Path, recipe: Recipe, engine: Engine, workers: int
) -> tuple[float, dict[str, float]]:
    """Return frames of clips per second, and the seconds of each stage."""
    started, cpu = time.perf_counter(), cpu_seconds()
    summary = preprocess_videos(videos, output, None, recipe, SilentProgress(), engine=engine)
    wall, busy = time.perf_counter() - started, cpu_seconds() - cpu
    frames = summary.kept * recipe.preprocess.num_frames
    waiting = max(0.0, 1 - busy / (wall * min(workers, usable_cpus())))
    print(f"{workers} processes: {frames} frames in {wall:.1f} s, {frames / wall:.1f} frames/s,")
    print(f"    idle or waiting for the CPU {waiting:.1%} of their time")
    return frames / wall, summary.stage_seconds


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those it started."""
    ours = psutil.Process()
    times = [process.cpu_times() for process in (ours, *ours.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def measure_keypoints(videos: Path, every: int) -> None:
    """Print BlazePose's and MTCNN's figures on annotated videos."""
    detector, cropper = load_detector("blazepose", bundled("blazepose")), FaceCropper()
    errors, seen, faces = [], [], []
    for path in sorted(videos.glob("*.mp4")):
        frames, info = read_frames(path)
        exact = read_annotation(path.with_suffix(".npz"), info.height, info.width)
        found = detector.detect(frames)
        pixels = (found - exact)[..., :2] * (info.width, info.height)
        height = np.ptp(exact[:, BODY, 1], axis=1).max() * info.height
        errors.append(np.linalg.norm(pixels, axis=-1) / height)
        seen.append(exact[..., 2] == 1)
        faces += [
            is_hit(cropper, frame, pose)
            for frame, pose in zip(frames[::every], exact[::every], strict=True)
            if (pose[CORE, 2] == 1).all()
        ]
    print_errors(np.concatenate(errors), np.concatenate(seen))
    print(f"MTCNN: the face is found in {np.mean(faces):.1%} of {len(faces)} frames that show it")


def is_hit(cropper: FaceCropper, frame: NDArray[np.uint8], pose: NDArray[np.float32]) -> bool:
    """Tell whether MTCNN alone, without the keypoints' help, finds a face with the nose in it."""
    face = cropper.crop(frame, 32)
    if face is None:
        return False
    left, top, right, bottom = face.box
    x, y = pose[NOSE, :2] * frame.shape[1::-1]
    return bool(left < x < right and top < y < bottom)


def print_errors(errors: NDArray[np.float64], seen: NDArray[np.bool_]) -> None:
    """Print medians over visible points, in percent of the body's height."""
    body = np.median(errors[:, BODY][seen[:, BODY]])
    print(f"{len(errors)} frames; median error of visible points, % of body height")
    print(f"    {'all of the body':16} {body:6.2%}")
    rows = [(name, np.s_[index : index + 1]) for index, name in enumerate(JOINTS)]
    for name, part in [*rows, *PARTS.items()]:
        visible = seen[:, part]
        print(f"    {name:16} {np.median(errors[:, part][visible]):6.2%} of {visible.sum()} points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "keypoints"])
    parser.add_argument("videos", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=int, default=12)
    given = parser.parse_args()
    if given.what == "speed":
        measure_speed(given.videos, given.workers)
    else:
        measure_keypoints(given.videos, given.every)


if __name__ == "__main__":
    main()
