"""The full-size half of `bench_animate`: what the published network takes, and on what.

Nothing here is fitted to the result: the floor is the arithmetic that `full_counts.py` counts over
the rate of a large matrix product. `full_scene.py` is what is animated, `full_stages.py` the clock.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.compilation import compile_regions
from dancelcm_cli.core.vae import decode_latents, encode_frames
from dancelcm_cli.errors import OutOfMemoryError
from tests.benchmarks.bench_unet import H100
from tests.benchmarks.budget import Budget, OutOfTimeError
from tests.benchmarks.full_counts import Counts, count_stages, total
from tests.benchmarks.full_profile import profile_variant
from tests.benchmarks.full_scene import Scene, make_scene
from tests.benchmarks.full_stages import (
    Stages,
    median_seconds,
    now,
    peaks,
    percent,
    seconds,
    time_denoising,
    time_stages,
)
from tests.benchmarks.tables import Report

GUIDED_STEPS, GUIDED_SAMPLE, GUIDANCE = 50, 3, 2.5
GUIDED_SHARE = 1 / 6  # of the budget: all guided steps are taken if they fit into it
CHUNKS = (1, 4, 8, 16, 32)
DECODE_CHUNKS = (1, 4, 8, 16)  # at 32 a level has more than 2^31 numbers


@dataclass
class Bench:
    """What the parts share; `eager` is there once that part has run."""

    scene: Scene
    counts: Counts
    report: Report
    budget: Budget
    eager: Stages | None = None

    def floors(self) -> dict[str, float]:
        """Return the TFLOP of each stage of one animation."""
        config, count = self.scene.recipe.animate, {k: total(v) for k, v in self.counts.items()}
        stages = {
            "reference": count["encode"],
            "conditions": count["conditions"],
            "steps": config.steps * count["step"],
            "decode": config.num_frames * count["decode"],
        }
        return {name: flops / 1e12 for name, flops in stages.items()}


def tell_floor(bench: Bench) -> None:
    """Count the arithmetic and measure the machine's own rates."""
    rows = [
        (name, f"{teraflops:.3f}", f"{1e15 * teraflops / H100:.1f}")
        for name, teraflops in bench.floors().items()
    ]
    whole = sum(bench.floors().values())
    rows.append(("all", f"{whole:.1f}", f"{1e15 * whole / H100:.1f}"))
    columns = ("stage", "TFLOP", f"ms at {H100 / 1e12:.0f} TFLOP/s")
    bench.report.table("Counted arithmetic and floor", columns, rows)
    side = 8192 if bench.scene.device.type == "cuda" else 256
    factors = [torch.randn(side, side, device=bench.scene.device).bfloat16() for _ in range(2)]
    product = median_seconds(lambda: factors[0] @ factors[1], 10)
    source = torch.randn(side * side * 4, device=bench.scene.device)
    target = torch.empty_like(source)
    copy = median_seconds(lambda: target.copy_(source), 10)
    rate, bandwidth = 2 * side**3 / product / 1e12, 2 * source.nbytes / copy / 1e12
    row = (f"{side}", f"{rate:.3g}", f"{bandwidth:.3g}")
    bench.report.table("This machine", ("product's side", "TFLOP/s", "copy, TB/s"), [row])


def time_variant(bench: Bench, name: str) -> Stages:
    """Time an animation end to end and by stage, and report both."""
    scene, floors = bench.scene, bench.floors()
    peaks()
    whole = median_seconds(scene.animate)
    peak = peaks()
    stages = time_stages(scene)
    floor = 1e12 * sum(floors.values()) / H100
    frames = scene.recipe.animate.num_frames
    ends = (
        name,
        f"{whole:.3f}",
        f"{frames / whole:.1f}",
        peak,
        f"{floor:.3f}",
        percent(floor, whole),
    )
    columns = ("variant", "seconds", "frames/s", "allocated / reserved, GiB", "floor, s", "share")
    bench.report.table(f"{frames} frames, {name}: pixels in, pixels out", columns, [ends])
    taken = {
        "reference": stages.reference,
        "conditions": stages.first,
        "steps": stages.num_steps * stages.step,
        "decode": stages.decode,
    }
    rows = [
        (
            stage,
            f"{1e3 * s:.1f}",
            percent(s, sum(taken.values())),
            percent(1e12 * floors[stage] / H100, s),
        )
        for stage, s in taken.items()
    ]
    rows.append(("one step", f"{1e3 * stages.step:.1f}", "", ""))
    columns = ("stage", "ms", "share of all", "floor's share of it")
    bench.report.table(f"By stage, {name}", columns, rows)
    return stages


def time_eager(bench: Bench) -> None:
    bench.eager = time_variant(bench, "eager")


def time_guided(bench: Bench) -> None:
    """Time 50 steps under guidance, all of them where they fit, else three."""
    scene, few = bench.scene, bench.eager or time_stages(bench.scene)
    conditions = scene.encode()
    fits = 2.2 * few.step * GUIDED_STEPS < GUIDED_SHARE * bench.budget.seconds
    count = GUIDED_STEPS if fits else GUIDED_SAMPLE
    _, first, step = time_denoising(scene, conditions, scene.options(count, GUIDANCE))
    whole = few.reference + first + GUIDED_STEPS * step + few.decode
    ours = few.rest + few.num_steps * few.step
    row = (
        f"{count} of {GUIDED_STEPS}",
        f"{1e3 * step:.1f}",
        f"{whole:.2f}",
        f"{whole / ours:.1f}",
        f"{GUIDED_STEPS * step / (few.num_steps * few.step):.1f}",
    )
    columns = ("steps measured", "a step, ms", "50 steps, s", "times ours", "network alone, times")
    title = f"{GUIDED_STEPS} steps with guidance against {few.num_steps} without, eager"
    bench.report.table(title, columns, [row])


def time_encoding(bench: Bench) -> None:
    """Time the autoencoder's encoder, on pixels that are there and from pictures."""
    scene, vae = bench.scene, bench.scene.pipeline.vae
    poses = scene.pictures[1]
    rows = []
    for chunk in CHUNKS:
        shape = (chunk, 3, *poses.shape[1:3])
        try:
            pixels = torch.rand(shape, device=scene.device).to(vae.dtype)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            alone = median_seconds(lambda: vae.encode(pixels).latent_dist.mode()) / chunk  # noqa: B023
            whole = median_seconds(partial(encode_frames, vae, poses, chunk)) / len(poses)
            floor = total(bench.counts["encode"]) / H100
            row = (chunk, f"{1 / alone:.1f}", percent(floor, alone), f"{1 / whole:.1f}", peaks())
        except torch.OutOfMemoryError:
            row = (chunk, "out of memory", "", "", peaks())
        rows.append(row)
    columns = ("batch", "frames/s", "floor's share", "from uint8 pictures, frames/s", "GiB")
    height, width = poses.shape[1:3]
    bench.report.table(f"Encoding at {height} x {width}, bfloat16", columns, rows)


def time_decoding(bench: Bench) -> None:
    """Time the decoder by frames at once and memory layout."""
    vae, latents = bench.scene.pipeline.vae, bench.scene.noise()[0]
    frames, rows = latents.shape[1], []
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    for name, memory_format in formats.items():  # channels last comes last, and stays
        vae.to(memory_format=memory_format)
        for chunk in DECODE_CHUNKS:
            try:
                whole = median_seconds(partial(decode_latents, vae, latents, chunk))
                floor = frames * total(bench.counts["decode"]) / H100
                row = (name, chunk, f"{frames / whole:.1f}", percent(floor, whole), peaks())
            except torch.OutOfMemoryError:
                row = (name, chunk, "out of memory", "", peaks())
            rows.append(row)
    columns = ("layout", "frames at once", "frames/s", "floor's share", "GiB")
    bench.report.table("Decoding to uint8 pictures, bfloat16", columns, rows)


def time_compiled(bench: Bench) -> None:
    """Compile the regions of network and autoencoder, then time both as before."""
    scene = bench.scene
    call = scene.network_call()
    compile_regions(scene.pipeline.unet)
    first, step = seconds(call), median_seconds(call)
    row = [("network", f"{first:.1f}", f"{1e3 * step:.1f}")]
    columns = ("part", "first call, s", "then, ms")
    bench.report.table("Compiling the network", columns, row)
    compile_regions(scene.pipeline.vae)
    chunk = scene.recipe.animate.decode_chunk
    work = partial(decode_latents, scene.pipeline.vae, scene.noise(chunk)[0], chunk)
    row = [("autoencoder", f"{seconds(work):.1f}", f"{1e3 * median_seconds(work):.1f}")]
    bench.report.table("Compiling the autoencoder", columns, row)
    time_variant(bench, "compiled")


def profile_compiled(bench: Bench) -> None:
    profile_variant(bench.scene, bench.counts, bench.report, "compiled")


def profile_eager(bench: Bench) -> None:
    profile_variant(bench.scene, bench.counts, bench.report, "eager")


def time_tuned(bench: Bench) -> None:
    """Let cuDNN try its algorithms for each shape, on top of what is compiled by now."""
    torch.backends.cudnn.benchmark = True
    time_variant(bench, "cuDNN tuned")


@dataclass(frozen=True)
class Part:
    """A part, the seconds that a GPU is expected to need for it, and the part it builds on."""

    run: Callable[[Bench], None]
    seconds: float
    after: str | None = None


PARTS = {
    "floor": Part(tell_floor, 1),
    "eager": Part(time_eager, 8),
    "guided": Part(time_guided, 3),
    "profile": Part(profile_eager, 5),
    "encode": Part(time_encoding, 8),
    "decode": Part(time_decoding, 10),
    "compiled": Part(time_compiled, 45),
    "compiled-profile": Part(profile_compiled, 5, after="compiled"),
    "tuned": Part(time_tuned, 8),
}


@torch.no_grad()
def run_parts(
    recipe: Recipe,
    device: torch.device,
    channels: tuple[int, ...],
    names: list[str],
    budget: Budget,
    report: Report,
) -> None:
    """Run the parts in turn; what fails or no longer fits is told and does not stop the rest."""
    counts = count_stages(recipe, channels)
    bench = Bench(make_scene(recipe, device, channels), counts, report, budget)
    now()
    size = sum(p.numel() for p in bench.scene.pipeline.unet.parameters())
    report.note(
        f"{size / 1e6:.1f} M parameters in the network, ready after"
        f" {budget.seconds - budget.left():.1f} s."
    )
    done: set[str | None] = {None}
    for name in names:
        if PARTS[name].after not in done:
            report.note(f"{name}: skipped, because {PARTS[name].after} was not done.")
            continue
        if budget.left() < PARTS[name].seconds:
            report.note(f"{name}: skipped, {max(0.0, budget.left()):.0f} s were left.")
            continue
        started = time.perf_counter()
        outcome = attempt(PARTS[name].run, bench)
        if outcome == "done":
            done.add(name)
        report.note(f"{name}: {outcome}, {time.perf_counter() - started:.1f} s.")
    report.summarize()


def attempt(part: Callable[[Bench], None], bench: Bench) -> str:
    """Run a part; say how it ended."""
    try:
        with bench.budget.enforced():
            part(bench)
    except OutOfTimeError:
        return "cut off, the time was up"
    except (torch.OutOfMemoryError, OutOfMemoryError):
        peaks()
        return "out of memory"
    except Exception as error:  # minutes on a large GPU are dear: the other parts go on
        traceback.print_exc(file=sys.stderr)
        return f"failed, {type(error).__name__}: {str(error).splitlines()[:1]}"
    return "done"
