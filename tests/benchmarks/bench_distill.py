"""Time and memory of a distillation step.

    python -m tests.benchmarks.bench_distill [--runs 20] [--output NOTE.md]

holds the bundled model's step against the sum of its own forwards and backwards: the student's with
its backward, two of the teacher, one of the average. Both alternate, and the median counts; on a
CPU, of the seconds that this process had, not its neighbours. Then it runs the loop itself and
tells which share of its time went on waiting for data. Bounds: 1.15 of the sum, 0.05 of the time.

    python -m tests.benchmarks.bench_distill --full --device cuda

times the published network with random weights in the memory presets, at 16 and 32 frames of 768 x
512 pixels, beside what the counted arithmetic takes an H100. To rehearse it on a CPU, smaller:

    python -m tests.benchmarks.bench_distill --full --device cpu --runs 1 --set network.dim=32 \\
        --set network.head_dim=16 --set preprocess.height=64 --set preprocess.width=64

Shards are made of random latents and a skeleton, so that poses are drawn as in any run.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.model_folder import load_pipeline, make_scheduler
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.processes import ALONE
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.shards import Clip, ShardWriter, make_clip_id
from dancelcm_cli.progress import RunDisplay, SilentProgress, SilentRunDisplay
from dancelcm_cli.training.loop import run_loop
from dancelcm_cli.training.network import TrainedNetwork, Velocity, velocity_of
from dancelcm_cli.training.preparation import PreparedRun, save_model
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.student_run import prepare_student
from dancelcm_cli.training.trainer import Trainer
from tests.benchmarks.bench_unet import H100, machine

TIME_BOUND, WAITING_BOUND = 1.15, 0.05
CLIPS = 8
PRESETS = ("unianimate-24gb", "unianimate-40gb", "unianimate-48gb", "unianimate-80gb")
FLOPS = {16: 243e12, 32: 472.8e12}  # of a sample: 7 forwards' worth, one of them to recompute
GIBIBYTE = 2**30


# --- data and models ---


def make_shards(folder: Path, recipe: Recipe, channels: int, num_frames: int) -> Path:
    """Fill a shard folder with clips of random latents of the recipe's size."""
    settings, embed_dim = recipe.preprocess, recipe.network.image_embed_dim
    grid, side = (settings.height // 8, settings.width // 8), settings.face_size // 8
    stream = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=stream).half()

    keypoints = np.random.default_rng(0).random((num_frames, 134, 3), np.float32)
    with ShardWriter(folder, "", {}, 2**30) as writer:
        for number in range(CLIPS):
            source, latents = f"{number}.mp4", random(channels, num_frames, *grid)
            writer.add(
                Clip(
                    clip_id=make_clip_id(source, 0),
                    source=source,
                    fps=12.0,
                    start_frame=0,
                    keypoints=keypoints,
                    reference_index=0,
                    reference_keypoints=keypoints[0],
                    latents=latents,
                    reference_latents=latents[:, 0],
                    face_latents=random(channels, side, side),
                    image_embeds=random(embed_dim) if embed_dim else None,
                    motion_mask=torch.ones(num_frames, *grid, dtype=torch.bool),
                )
            )
            writer.finish(source)
    return folder


def make_teacher(folder: Path, recipe: Recipe) -> Path:
    """Write a model folder with a random network; its autoencoder, never asked, is a small one."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        latent_channels=4,
    )
    unet = DanceUNet.from_network(recipe.network, 4)
    save_model(DancePipeline(unet, vae, make_scheduler(recipe.schedule)), recipe, folder)
    return folder


# --- measuring ---


def seconds(work: Callable[[], object]) -> float:
    if not torch.cuda.is_initialized():
        started = time.process_time()
        work()
        return time.process_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def networks_alone(run: PreparedRun, teacher: Velocity, batch: ClipBatch) -> None:
    """Call every network of a step, and nothing else of it."""
    network: TrainedNetwork = run.task.network
    timesteps = torch.full((len(batch.latents),), 500, device=batch.latents.device)
    given = (batch.latents, timesteps, batch.conditions)
    velocity, auxiliary = network(*given)
    (velocity.mean() + auxiliary.mean()).backward()
    network.zero_grad(set_to_none=True)
    teacher(*given)
    teacher(*given, torch.zeros(len(batch.latents), device=batch.latents.device))
    run.task.average.target.velocity(*given)


def overhead(run: PreparedRun, teacher: Velocity, runs: int) -> tuple[float, float]:
    """Return the median seconds of a step and of its networks alone, taken in turn."""
    trainer = Trainer(run.task, run.config, ALONE, None)
    steps, networks = [], []
    for step in range(runs + 1):
        batch = run.task.batches.part(step, 0, 1)
        networks.append(seconds(partial(networks_alone, run, teacher, batch)))
        steps.append(seconds(partial(trainer.step, step, [batch])))
    return statistics.median(steps[1:]), statistics.median(networks[1:])  # the first warms up


class Rows(SilentProgress, SilentRunDisplay):
    """Keeps the last row that a run tells."""

    def __init__(self) -> None:
        self.last: Mapping[str, float] = {}

    def run(self, total: int, completed: int = 0) -> AbstractContextManager[RunDisplay]:
        return nullcontext(self)

    def row(self, done: int, figures: Mapping[str, float]) -> None:
        self.last = figures


def loop_alone(folder: Path, run: PreparedRun) -> Mapping[str, float]:
    """Run the loop without validation; return its last row."""
    rows = Rows()
    run_loop(folder, replace(run.task, validate=lambda step: {}), run.config, rows, "again")
    return rows.last


# --- the bundled model ---


def compare(folder: Path, device: str, runs: int, overrides: list[str]) -> Iterator[str]:
    """Yield the lines of a table."""
    every = [f"distill.steps={runs}", "distill.checkpoint_every=1000000", f"device={device}"]
    recipe = load_recipe("tiny", [*every, *overrides])
    pipeline = load_pipeline(bundled("tiny/teacher"))
    channels, frames = pipeline.vae.config.latent_channels, max(recipe.distill.num_frames)
    inputs = RunInputs("distill", make_shards(folder / "shards", recipe, channels, frames), None)
    run = prepare_student(inputs, folder / "run", recipe)
    step, networks = overhead(run, velocity_of(pipeline.unet.to(device)), runs)
    row = loop_alone(folder / "run", prepare_student(inputs, folder / "run", recipe))
    yield "| step, s | its networks, s | share | the loop's step, s | waits for data |"
    yield "| --- " * 5 + "|"
    yield (
        f"| {step:.3f} | {networks:.3f} | {step / networks:.2f} | {row['seconds_per_step']:.3f} |"
        f" {row['waiting_share']:.1%} |"
    )
    yield f"| bounds | | {TIME_BOUND} | | {WAITING_BOUND:.0%} |"


# --- the published network ---


def time_presets(
    folder: Path,
    device: str,
    runs: int,
    presets: list[str],
    frames: list[int],
    overrides: list[str],
) -> Iterator[str]:
    """Yield the lines of a table of steps on one clip."""
    general = [f"device={device}", "distill.batch_size=1", *overrides]
    teacher = make_teacher(folder / "teacher", load_recipe("unianimate", general))
    yield "| preset | frames | learns | step, s | of an H100's floor | allocated, GiB | reserved |"
    yield "| --- " * 7 + "|"
    for preset in presets:
        for count in frames:
            recipe = load_recipe(preset, [*general, f"distill.num_frames={count}"])
            shards = folder / f"shards-{count}"
            if not shards.exists():
                make_shards(shards, recipe, channels=4, num_frames=count)
            taken, learnt = time_steps(RunInputs("distill", shards, teacher), recipe, runs)
            floor = FLOPS[count] / H100
            yield (
                f"| {preset} | {count} | {learnt / 1e6:.1f} M | {taken:.2f} |"
                f" {floor:.2f} s, {floor / taken:.1%} | {peaks_since_last()} |"
            )


def time_steps(inputs: RunInputs, recipe: Recipe, runs: int) -> tuple[float, int]:
    """Return the median seconds of a step and how many numbers learn."""
    run = prepare_student(inputs, inputs.shards, recipe)
    trainer = Trainer(run.task, run.config, ALONE, None)
    batch = run.task.batches.part(0, 0, 1)
    taken = [seconds(partial(trainer.step, step, [batch])) for step in range(runs + 2)]
    learnt = sum(p.numel() for p in run.task.network.parameters() if p.requires_grad)
    return statistics.median(taken[2:]), learnt  # two warm up: memory and moments


def peaks_since_last() -> str:
    """Return the most memory allocated and reserved, in GiB; free it and count anew."""
    gc.collect()
    if not torch.cuda.is_initialized():
        return "| "
    peaks = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return " | ".join(f"{peak / GIBIBYTE:.1f}" for peak in peaks)


# --- the command ---


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="time the published network")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--frames", type=int, nargs="+", choices=tuple(FLOPS), default=list(FLOPS))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    lines = [machine(given.device), ""]
    print(*lines, sep="\n")
    with tempfile.TemporaryDirectory() as name:
        folder, common = Path(name), (given.device, given.runs)
        table = (
            time_presets(folder, *common, given.presets, given.frames, given.overrides)
            if given.full
            else compare(folder, *common, given.overrides)
        )
        for line in table:
            print(line, flush=True)
            lines.append(line)
    if given.output is not None:
        given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
