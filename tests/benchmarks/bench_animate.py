"""Time of an animation.

    python -m tests.benchmarks.bench_animate [--runs 3] [--output NOTE.md]

animates the README's pictures with the bundled model: seconds from typing the command to its video
on the disk, each run a new process, against a bound of 15; then, in this process and on 16 frames,
4 steps of the student without guidance against 50 of its teacher with guidance, from pictures to
pixels (bound: 12 times) and in the network alone (23 times).

    python -m tests.benchmarks.bench_animate --long 50 1000 --forecast 16 48 100 --caches

holds a long clip against a short one, each in a new process (bounds: 1.1 times for a frame, 1.2
times the memory), what `--dry-run` says against what it takes (bound: 1.25 times), and the same
work with and without each cache. Processor time is told beside the clock's: it hardly depends on
what else the machine does.

    python -m tests.benchmarks.bench_animate --full --device cuda --minutes 2.5 --output NOTE.md

times the published network with random weights in bfloat16, 32 frames of 768 x 512 pixels in 4
steps: eager and compiled, by stage, beside its floor, with a profile; see `full_animation.py`. To
rehearse it on a CPU, smaller:

    python -m tests.benchmarks.bench_animate --full --device cpu --minutes 9 \\
        --autoencoder 32 32 32 32 --set network.dim=32 --set network.head_dim=16 \\
        --set network.image_tokens=reference --set network.image_embed_dim=0 \\
        --set animate.num_frames=4 --set preprocess.height=64 --set preprocess.width=64

Tables go to `--output` and, for programs, to a `.json` beside it, after every part.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.data.bundled import bundled
from tests.benchmarks.bench_unet import machine
from tests.benchmarks.budget import Budget
from tests.benchmarks.cache_costs import compare_caches
from tests.benchmarks.full_animation import PARTS, run_parts
from tests.benchmarks.long_animation import compare_forecast, compare_lengths
from tests.benchmarks.tables import Report

COLD_BOUND, WHOLE_BOUND, NETWORK_BOUND = 15.0, 12.0, 23.0
STEPS, TEACHER_STEPS = 4, 50
NUM_FRAMES = 16
PUBLISHED_AUTOENCODER = (128, 256, 512, 512)


# --- the bundled model ---


def animate_once(output: Path) -> tuple[float, float]:
    """Return the seconds of the whole process and those of the command."""
    command = [
        sys.executable, "-m", "dancelcm_cli", "animate", bundled("samples/reference.png"),
        bundled("samples/driving.mp4"), "--steps", str(STEPS), "--output", output,
    ]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.perf_counter() - started
    return whole, json.loads(output.with_suffix(".json").read_text())["seconds"]


def time_command(report: Report, runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        times = [animate_once(Path(folder) / f"{run}.mp4") for run in range(runs)]
    rows: list[tuple[object, ...]] = [
        (f"run {number}", f"{whole:.1f}", f"{inner:.1f}")
        for number, (whole, inner) in enumerate(times, start=1)
    ]
    middle = [f"{statistics.median(part):.1f}" for part in zip(*times, strict=True)]
    rows += [("median", *middle), ("bound", COLD_BOUND, "")]
    columns = ("", "process, s", "of which the command, s")
    report.table("From the command to the video", columns, rows)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare_with_teacher(report: Report, teacher_steps: int) -> None:
    """Time both on the same pictures, once each after a warm-up of one step."""
    rows: list[tuple[object, ...]] = []
    draw = np.random.default_rng(0).integers
    size = load_recipe("tiny", []).preprocess

    def picture(*shape: int) -> np.ndarray:
        return draw(0, 256, (*shape, size.height, size.width, 3), dtype=np.uint8)

    pictures = (picture(), picture(NUM_FRAMES), picture())
    kinds = (("student", STEPS, 1.0), ("teacher", teacher_steps, 1.5))
    for name, steps, guidance in kinds:
        pipeline = load_pipeline(bundled(f"tiny/{name}"))
        animate = partial(pipeline, *pictures, guidance_scale=guidance)
        animate(num_inference_steps=1)
        whole = seconds(partial(animate, num_inference_steps=steps))
        conditions, options = pipeline.encode(*pictures), SamplingOptions(steps, guidance)
        network = seconds(partial(pipeline.denoise, conditions, options))
        rows.append((name, steps, guidance, whole, network))
    ratios = [teacher / student for student, teacher in zip(rows[0][3:], rows[1][3:], strict=True)]  # type: ignore[operator]
    table = [(*row[:3], f"{row[3]:.2f}", f"{row[4]:.2f}") for row in rows]
    table.append(("times", "", "", *(f"{ratio:.1f}" for ratio in ratios)))
    table.append(("bound", "", "", WHOLE_BOUND, NETWORK_BOUND))
    columns = ("model", "steps", "guidance", "pictures to pixels, s", "network, s")
    report.table(f"{NUM_FRAMES} frames, few steps against many", columns, table)


# --- the command ---


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="of the command")
    parser.add_argument("--teacher-steps", type=int, default=TEACHER_STEPS)
    parser.add_argument("--long", type=int, nargs="+", help="frames of clips to compare instead")
    parser.add_argument("--forecast", type=int, nargs="+", help="frames of clips to foretell")
    parser.add_argument("--caches", action="store_true", help="do without each cache in turn")
    parser.add_argument("--full", action="store_true", help="time the published network instead")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, default=2.5, help="after which --full is cut off")
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument(
        "--autoencoder", type=int, nargs=4, default=PUBLISHED_AUTOENCODER, help="its channels"
    )
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--output", type=Path, help="Markdown file to write, a .json beside it")
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    budget = Budget(60 * given.minutes)
    command = f"    python -m tests.benchmarks.bench_animate {' '.join(sys.argv[1:])}".rstrip()
    report = Report(given.output, [command, machine(given.device)])
    if given.full:
        recipe = load_recipe("unianimate", ["animate.num_frames=32", *given.overrides])
        device, channels = torch.device(given.device), tuple(given.autoencoder)
        run_parts(recipe, device, channels, given.parts, budget, report)
        return
    if given.long:
        compare_lengths(report, given.long)
    if given.forecast:
        compare_forecast(report, given.forecast)
    if given.caches:
        compare_caches(report)
    if given.long or given.forecast or given.caches:
        return
    time_command(report, given.runs)
    compare_with_teacher(report, given.teacher_steps)


if __name__ == "__main__":
    main()
