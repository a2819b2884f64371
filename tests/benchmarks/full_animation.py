"""The full-size half of `bench_animate`: what the published network takes, and on what.

Every weight is random, so the frames mean nothing; shapes, precision and the way through the
pipeline are those of a real animation. Nothing here is fitted to the result: the floor is the
arithmetic counted by torch on the meta device, over the rate of a large matrix product.
"""

from __future__ import annotations

import re
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from types import FrameType
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.compilation import compile_regions
from dancelcm_cli.core.conditioning import Conditions, StreamedConditions
from dancelcm_cli.core.device import place
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import decode_latents, encode_frames
from dancelcm_cli.errors import OutOfMemoryError
from tests.benchmarks.bench_unet import H100
from tests.benchmarks.tables import Report

RUNS = 3
GUIDED_STEPS, GUIDED_SAMPLE, GUIDANCE = 50, 3, 2.5
GUIDED_SHARE = 1 / 6  # of the budget: all guided steps are taken if they fit into it
CHUNKS = (1, 4, 8, 16, 32)
DECODE_CHUNKS = (1, 4, 8, 16)  # at 32 a level has more than 2^31 numbers
GIBIBYTE = 2**30
TOP = 15
KINDS = (  # of operators, by name; the first that fits
    ("attention", "attention|flash|fmha"),
    ("convolution", "conv"),
    ("matrix product", "::(add|b|badd)?mm$|gemm|cublas|linear"),
    ("norm", "norm|welford"),
    ("compiled", "triton"),
    ("copies", "copy|::cat$|memcpy|memset|contiguous|clone"),
)


class OutOfTimeError(BaseException):
    """The budget is spent. Not an Exception: a compiler in between would take it for its own."""


@dataclass
class Budget:
    """Seconds from the start until a part is cut off."""

    seconds: float
    started: float = field(default_factory=time.perf_counter)

    def left(self) -> float:
        return self.started + self.seconds - time.perf_counter()

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Raise OutOfTimeError in whatever runs when the time is up."""

        def cut(number: int, frame: FrameType | None) -> None:
            raise OutOfTimeError

        previous = signal.signal(signal.SIGALRM, cut)
        signal.setitimer(signal.ITIMER_REAL, max(0.01, self.left()))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, previous)


# --- what is timed ---


@dataclass(frozen=True)
class Scene:
    """A pipeline of random weights and what it is to animate."""

    pipeline: DancePipeline
    recipe: Recipe
    device: torch.device
    pictures: tuple[Any, ...]  # as `DancePipeline.encode` takes them

    def options(self, num_steps: int, guidance: float = 1.0) -> SamplingOptions:
        sampler = "edge_renoise" if guidance == 1.0 else "ddim"
        return SamplingOptions(num_steps, guidance, sampler)

    def encode(self) -> StreamedConditions:
        """Encode all but the poses, which are brought to the device when denoising starts."""
        picture, poses, reference_pose = self.pictures
        still = self.pipeline.encode(picture, poses[:1], reference_pose)
        return StreamedConditions(still, poses)

    def noise(self, num_frames: int | None = None) -> Tensor:
        size = self.recipe.preprocess
        frames = num_frames or self.recipe.animate.num_frames
        grid = (size.height // 8, size.width // 8)
        return torch.randn(1, 4, frames, *grid, device=self.device)

    def network_call(self) -> Callable[[], Tensor]:
        """Return one forward of the network under encoded conditions."""
        unet = self.pipeline.unet
        conditions = self.encode().within(range(self.recipe.animate.num_frames))
        encoded = unet.encode_conditions(conditions.to(self.device).to(unet.dtype))
        timestep = torch.tensor([499], device=self.device)
        return partial(unet, self.noise().to(unet.dtype), timestep, encoded)

    def animate(self) -> None:
        """Pictures in, pixels out, as a user's call does it."""
        config = self.recipe.animate
        self.pipeline(
            *self.pictures,
            num_inference_steps=config.steps,
            sampler=config.sampler,
            decode_chunk=config.decode_chunk,
        )


def make_autoencoder(channels: tuple[int, ...]) -> AutoencoderKL:
    """Return Stable Diffusion 2.1's autoencoder, or one of other `channels`, untrained."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=4,
        sample_size=768,
    )


def make_image_encoder(embed_dim: int) -> CLIPVisionModelWithProjection:
    """Return a tower of the size of OpenCLIP's ViT-H/14, untrained."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=1280,
            intermediate_size=5120,
            num_hidden_layers=32,
            num_attention_heads=16,
            patch_size=14,
            projection_dim=embed_dim,
        )
    )


def make_scene(recipe: Recipe, device: torch.device, channels: tuple[int, ...]) -> Scene:
    """Build everything on the device; no weight is zero, on which a GPU would be faster."""
    torch.manual_seed(0)
    by_clip = recipe.network.image_tokens == "clip"
    with device:
        parts: list[Any] = [DanceUNet.from_network(recipe.network, 4), make_autoencoder(channels)]
        if by_clip:
            parts.append(make_image_encoder(recipe.network.image_embed_dim))
        for part in parts:
            part.bfloat16().eval().requires_grad_(False)
            for parameter in part.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.02)
    unet, vae = parts[:2]
    scheduler, encoder = make_scheduler(recipe.schedule), parts[2] if by_clip else None
    pipeline = DancePipeline(unet, vae, scheduler, encoder, num_segments=2)
    pipeline.set_progress_bar_config(disable=True)
    size, frames = recipe.preprocess, recipe.animate.num_frames
    draw = np.random.default_rng(0).integers

    def picture(*shape: int) -> Any:
        return draw(0, 256, (*shape, size.height, size.width, 3), dtype=np.uint8)

    pictures = (picture(), picture(frames), picture())
    return Scene(place(pipeline, device, torch.bfloat16), recipe, device, pictures)


# --- counting ---

Counts = Mapping[str, Mapping[str, float]]  # operations by stage and kind of operator


def kind_of(name: str) -> str:
    """Return the kind of an operator or kernel."""
    return next((kind for kind, like in KINDS if re.search(like, name, re.IGNORECASE)), "other")


def counted(work: Callable[[], object]) -> dict[str, float]:
    """Return the floating-point operations of `work` by kind of operator."""
    with FlopCounterMode(display=False) as counter:
        work()
    kinds: dict[str, float] = {}
    for operator, flops in counter.get_flop_counts()["Global"].items():
        name = f"::{str(operator).split('.')[-1]}"
        kind = "attention" if "bmm" in name else kind_of(name)  # which the meta device spells out
        kinds[kind] = kinds.get(kind, 0.0) + flops
    return kinds


def count_stages(recipe: Recipe, channels: tuple[int, ...]) -> Counts:
    """Count what each stage computes; decoding and encoding for one frame."""
    size, frames = recipe.preprocess, recipe.animate.num_frames
    height, width, grid = size.height, size.width, (size.height // 8, size.width // 8)
    with torch.device("meta"):
        unet, vae = DanceUNet.from_network(recipe.network, 4), make_autoencoder(channels)
        embeds = recipe.network.image_embed_dim
        conditions = Conditions(
            pose=torch.empty(1, 3, frames, height, width),
            reference_pose=torch.empty(1, 3, height, width),
            reference_latents=torch.empty(1, 4, *grid),
            image_embeds=torch.empty(1, embeds) if embeds else None,
        )
        encoded = unet.encode_conditions(conditions)
        latents, timestep = torch.empty(1, 4, frames, *grid), torch.zeros(1, dtype=torch.long)
        pixels = torch.empty(1, 3, height, width)
        return {
            "conditions": counted(lambda: unet.encode_conditions(conditions)),
            "step": counted(lambda: unet(latents, timestep, encoded)),
            "decode": counted(lambda: vae.decode(latents[:, :, 0])),
            "encode": counted(lambda: vae.encode(pixels)),
        }


def total(kinds: Mapping[str, float]) -> float:
    return sum(kinds.values())


# --- measuring ---


def now() -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(work: Callable[[], object]) -> float:
    started = now()
    work()
    return now() - started


def median_seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median of `runs`, after one that warms up."""
    work()
    return statistics.median(seconds(work) for _ in range(runs))


def peaks() -> str:
    """Return the most memory allocated and reserved since the last call, GiB."""
    if not torch.cuda.is_initialized():
        return ""
    most = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return " / ".join(f"{bytes_ / GIBIBYTE:.1f}" for bytes_ in most)


@dataclass(frozen=True)
class Stages:
    """Seconds of the stages of one animation; `first` is all before the first step's network."""

    reference: float
    first: float
    step: float
    num_steps: int
    decode: float

    @property
    def rest(self) -> float:
        """All but the steps."""
        return self.reference + self.first + self.decode


def time_denoising(
    scene: Scene, conditions: StreamedConditions, options: SamplingOptions
) -> tuple[Tensor, float, float]:
    """Return the latents, the seconds before the first step, and those of a step."""
    marks = [now()]
    latents = scene.pipeline.denoise(conditions, options, lambda *step: marks.append(now()))
    steps = [after - before for before, after in pairwise(marks[1:])]
    step = statistics.median(steps) if steps else marks[1] - marks[0]
    return latents, max(0.0, marks[1] - marks[0] - step), step


def time_stages(scene: Scene) -> Stages:
    """Animate once, stopping the clock, and so the device, after every stage."""
    config = scene.recipe.animate
    started = now()
    conditions = scene.encode()
    reference = now() - started
    latents, first, step = time_denoising(scene, conditions, scene.options(config.steps))
    decode = seconds(lambda: decode_latents(scene.pipeline.vae, latents[0], config.decode_chunk))
    return Stages(reference, first, step, config.steps, decode)


# --- the parts of the benchmark ---


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


def percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else ""


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


def profile_variant(bench: Bench, name: str) -> None:
    """Profile one denoising step and the decoding of one chunk."""
    scene, chunk = bench.scene, bench.scene.recipe.animate.decode_chunk
    latents = scene.noise(min(chunk, scene.recipe.animate.num_frames))[0]
    frames = latents.shape[1]
    step, decode = bench.counts["step"], bench.counts["decode"]
    profiled(bench, f"one step, {name}", step, scene.network_call())
    per_chunk = {kind: frames * flops for kind, flops in decode.items()}
    vae = scene.pipeline.vae
    work = partial(decode_latents, vae, latents, chunk)
    profiled(bench, f"decoding {frames} frames, {name}", per_chunk, work)


def profiled(
    bench: Bench, title: str, flops: Mapping[str, float], work: Callable[[], object]
) -> None:
    """Report where the device's time goes: by kind of operator, and the longest kernels."""
    on_gpu = bench.scene.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    work()
    taken = seconds(work)
    with profile(activities=activities) as profiler:
        work()
        now()
    events: list[Any] = list(profiler.key_averages())
    clock = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    kernels = [e for e in events if (e.device_type.name == "CUDA") == on_gpu]
    operators = [e for e in events if e.device_type.name == "CPU" and "::" in e.key + "::"]
    busy = sum(getattr(e, clock) for e in kernels) / 1e6
    kinds: dict[str, float] = {}
    for event in operators:
        if not re.match(r"cu(da)?[A-Z]", event.key):
            spent = getattr(event, clock) / 1e6
            kinds[kind_of(event.key)] = kinds.get(kind_of(event.key), 0.0) + spent
    kinds["not attributed"] = busy - sum(kinds.values())
    rows = []
    for kind, spent in sorted(kinds.items(), key=lambda item: -item[1]):
        rate = flops.get(kind, 0.0) / spent / 1e12 if spent > 0 else 0.0
        floor = f"{1e3 * flops[kind] / H100:.2f}" if kind in flops else ""
        achieved = f"{rate:.3g}" if kind in flops else ""
        rows.append((kind, f"{1e3 * spent:.2f}", percent(spent, busy), floor, achieved))
    rows.append(("all kernels", f"{1e3 * busy:.2f}", f"wall {1e3 * taken:.2f}", "", ""))
    columns = ("kind", "ms", "share", "floor, ms", "TFLOP/s")
    bench.report.table(f"Kinds of operators, {title}", columns, rows)
    for what, found in (("operators", operators), ("kernels", kernels)):
        longest = sorted(found, key=lambda e: -getattr(e, clock))[:TOP]
        rows = [
            (shortened(e.key), e.count, f"{getattr(e, clock) / 1e3:.2f}",
             percent(getattr(e, clock) / 1e6, busy))
            for e in longest
        ]  # fmt: skip
        bench.report.table(f"Longest {what}, {title}", (what, "calls", "ms", "share"), rows)


def shortened(name: str) -> str:
    """Return a kernel's name without what C++ adds to it, fit for a table."""
    plain = re.sub(r"\b(void|at::native::|at::|c10::|cutlass::|std::)", "", name)
    return plain.replace("|", "/")[:110]


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
    profile_variant(bench, "compiled")


def profile_eager(bench: Bench) -> None:
    profile_variant(bench, "eager")


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
