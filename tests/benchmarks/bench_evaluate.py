"""Frames per second of every metric, at 256 x 256 pixels.

    python -m tests.benchmarks.bench_evaluate [--runs 5] [--device cpu]

LPIPS is held against the lpips package and FVD's features against `tests/evaluate/plain_i3d.py`,
both called in a loop, pair by pair and clip by clip, from the same frames. LPIPS is timed for one
row and for the two that every table has, a prediction and the repeated reference. Runs of both
alternate, and the median counts. Bound: ours are at least as fast. Weights are random: they cost
the same.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import iter_frames
from dancelcm_cli.evaluate.clip_features import clip_features
from dancelcm_cli.evaluate.face_metrics import FaceMeter
from dancelcm_cli.evaluate.frame_metrics import FRAME_MEASURES
from dancelcm_cli.evaluate.i3d import CLIP_LENGTH, SIDE
from dancelcm_cli.evaluate.i3d_weights import make_i3d
from dancelcm_cli.evaluate.meters import Meter
from dancelcm_cli.evaluate.metrics import MOTION_METRICS, POSE_METRICS
from dancelcm_cli.evaluate.motion_metrics import MotionMeter
from dancelcm_cli.evaluate.perceptual import Lpips, PerceptualMeter
from dancelcm_cli.evaluate.pose_metrics import PoseMeter
from dancelcm_cli.evaluate.protocol import DISCO_256, Frame
from dancelcm_cli.perception.blazepose import BlazePose
from dancelcm_cli.perception.face import FaceCropper
from tests.evaluate.plain_i3d import plain_i3d, random_published_tensors

NUM_PAIRS, NUM_CLIPS, BATCH_SIZE = 8, 8, 8
Run = Callable[[], object]


def lpips_runs(truth: list[Frame], rows: list[list[Frame]], device: torch.device) -> dict[str, Run]:
    """Return ours and that of the package."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses a parameter that torchvision deprecates
        package = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval().to(device)
    network = Lpips().eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    for head in network.heads:
        torch.nn.init.ones_(head)
    meter = PerceptualMeter(network, "signed")

    def in_a_loop() -> None:
        for row in rows:
            for pair in zip(truth, row, strict=True):
                first, second = (lpips.im2tensor(frame).to(device) for frame in pair)
                package(first, second).item()

    name = f"LPIPS, {len(rows)} row{'s'[: len(rows) - 1]}"
    return {name: lambda: meter.compare(truth, rows), f"{name}, lpips package": in_a_loop}


def fvd_runs(frames: list[Frame], device: torch.device) -> dict[str, Run]:
    """Return ours and the plain network's, of all clips of a video."""
    tensors = {name: t.to(device) for name, t in random_published_tensors().items()}
    network = make_i3d(tensors, "random weights").to(device)

    def in_a_loop() -> None:
        for start in range(len(frames) - CLIP_LENGTH + 1):
            clip = [
                np.stack([resized(frame[..., channel]) for channel in range(3)])
                for frame in frames[start : start + CLIP_LENGTH]
            ]
            pixels = torch.from_numpy(np.stack(clip, axis=1))[None].to(device)
            plain_i3d(tensors, pixels / 127.5 - 1).cpu()

    return {
        "FVD": lambda: clip_features(network, frames, DISCO_256, BATCH_SIZE),
        "FVD, plain I3D": in_a_loop,
    }


def beyond_runs(device: torch.device) -> dict[str, Run]:
    """Return what papers do not measure, of a clip and itself at its own size."""
    frames = list(iter_frames(bundled("samples/dance/10010.mp4"), range(NUM_PAIRS)))
    meters: dict[str, Meter] = {
        "sharpness, flicker, warp": MotionMeter(MOTION_METRICS),
        "face found and PSNR": FaceMeter(("face_found", "face_psnr"), FaceCropper(str(device))),
        "pose": PoseMeter(POSE_METRICS, BlazePose(bundled("blazepose"))),
    }

    def run(meter: Meter) -> Run:
        return lambda: list(meter.measure((frame, [frame.copy()]) for frame in frames))

    return {name: run(meter) for name, meter in meters.items()}


def resized(channel: np.ndarray) -> np.ndarray:
    """Return one channel at the network's size."""
    picture = Image.fromarray(channel.astype(np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def median_seconds(runs: Mapping[str, Run], count: int, device: torch.device) -> dict[str, float]:
    """Time `runs` in turn, `count` times after one that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(count + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if index:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


@torch.inference_mode()
def main(runs: int, device: torch.device) -> bool:
    """Print the table; return whether the bound holds."""
    random = np.random.default_rng(0)
    frames = list(random.integers(0, 256, (CLIP_LENGTH + NUM_CLIPS - 1, 256, 256, 3), np.uint8))
    truth, shown, still = frames[:NUM_PAIRS], frames[-NUM_PAIRS:], frames[:1] * NUM_PAIRS
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {device}, medians of {runs}")
    held = True
    for name, measure in FRAME_MEASURES.items():
        single = {name: lambda m=measure: [m(a, b) for a, b in zip(shown, truth, strict=True)]}
        print(f"{name:28} {NUM_PAIRS / median_seconds(single, runs, device)[name]:8.1f} frames/s")
    for name, single_run in beyond_runs(device).items():
        seconds = median_seconds({name: single_run}, runs, device)[name]
        print(f"{name:28} {NUM_PAIRS / seconds:8.1f} frames/s")
    for both, count, unit in (
        (lpips_runs(truth, [shown], device), NUM_PAIRS, "frames/s"),
        (lpips_runs(truth, [shown, still], device), NUM_PAIRS, "frames/s"),
        (fvd_runs(frames, device), NUM_CLIPS, "clips/s"),
    ):
        seconds = median_seconds(both, runs, device)
        for name, value in seconds.items():
            print(f"{name:28} {count / value:8.2f} {unit}")
        ours, theirs = seconds.values()
        print(f"{'':28} {theirs / ours:8.2f} times as fast")
        held = held and ours <= theirs
    return held


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    arguments = parser.parse_args()
    sys.exit(0 if main(arguments.runs, arguments.device) else 1)
