"""Time and memory of one forward of the network.

    python -m tests.benchmarks.bench_unet [--dims 64 160] [--runs 5] [--output NOTE.md]

holds it against `plain_unet.py`, which computes the same function from the same weights as the
published implementation goes about it. Runs of both alternate, and the median counts. Bounds: 0.8
of the plain time and 0.7 of its memory. The clip has half the published frames, height and width.

    python -m tests.benchmarks.bench_unet --full --device cuda [--modes eager compiled]

times the published network in bfloat16 at 16 and 32 frames of 768 x 512 pixels, as it is and with
its blocks compiled, beside what the counted arithmetic takes an H100. To rehearse it on a CPU:

    python -m tests.benchmarks.bench_unet --full --device cpu --dims 32 --height 64 --width 64

Memory is what a second forward takes beyond network and inputs. On a GPU torch counts it. On a CPU
a process of its own does nothing else: its mark of the most memory ever resident is reset before
that forward (Linux's /proc/self/clear_refs), and the allocator is told to return what is freed at
once (MALLOC_MMAP_THRESHOLD_), so that the mark shows what was held, not what was kept for later.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dancelcm_cli.core.attention import SpatialTransformer, TemporalTransformer
from dancelcm_cli.core.blocks import ResBlock
from dancelcm_cli.core.conditioning import Conditions, EncodedConditions
from dancelcm_cli.core.unet import DanceUNet
from tests.benchmarks.plain_unet import plain_velocity

TIME_BOUND, MEMORY_BOUND, TOLERANCE = 0.8, 0.7, 1e-4
PUBLISHED_DIM = 320
H100 = 790e12  # floating point operations a second in a large bfloat16 matrix product
MEBIBYTE = 2**20
REGION_SHAPES = 64  # more than there are: the compiler gives up on a class after a few by default
Forward = Callable[[], Tensor]


@dataclass(frozen=True)
class Size:
    """The network's width and the clip's size, in frames and pixels."""

    dim: int
    num_frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"dim {self.dim}, {self.num_frames} frames of {self.height} x {self.width}"


@dataclass(frozen=True)
class Inputs:
    """A network and what one forward of it takes; `context` is what the plain one starts from."""

    unet: DanceUNet
    noisy_latents: Tensor
    timesteps: Tensor
    conditions: EncodedConditions
    context: Tensor

    def ours(self) -> Tensor:
        return self.unet(self.noisy_latents, self.timesteps, self.conditions)

    def plain(self) -> Tensor:
        return plain_velocity(
            self.unet, self.noisy_latents, self.timesteps, self.conditions, self.context
        )


def make_inputs(size: Size, device: str, dtype: torch.dtype = torch.float32) -> Inputs:
    """Return a random network none of whose weights is zero, and random inputs."""
    torch.manual_seed(0)
    with torch.device(device):
        head_dim = 64 if size.dim == PUBLISHED_DIM else 32
        unet = DanceUNet(dim=size.dim, head_dim=head_dim).to(dtype).eval().requires_grad_(False)
        for parameter in unet.parameters():
            if device != "meta" and not parameter.any():
                parameter.normal_(std=0.02)
        picture, grid = (size.height, size.width), (size.height // 8, size.width // 8)
        conditions = Conditions(
            pose=torch.rand(1, 3, size.num_frames, *picture, dtype=dtype),
            reference_pose=torch.rand(1, 3, *picture, dtype=dtype),
            reference_latents=torch.randn(1, 4, *grid, dtype=dtype),
            image_embeds=torch.randn(1, 1024, dtype=dtype),
        )
        tokens = unet.image_projector(conditions.image_embeds)
        return Inputs(
            unet,
            torch.randn(1, 4, size.num_frames, *grid, dtype=dtype),
            torch.tensor([517]),
            unet.encode_conditions(conditions),
            torch.cat([unet.text_embedding[None], tokens], dim=1),
        )


# --- measuring ---


def seconds(forward: Forward) -> float:
    started = time.perf_counter()
    if forward().is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def alternate(forwards: dict[str, Forward], runs: int) -> dict[str, float]:
    """Return the median seconds of each, run in turn, so that what else goes on hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in forwards}
    for _ in range(runs):
        for name, forward in forwards.items():
            taken[name].append(seconds(forward))
    return {name: statistics.median(times) for name, times in taken.items()}


def peak_bytes(forward: Forward) -> int:
    """Return the most memory that a forward takes beyond what is taken before it."""
    if forward().is_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        forward()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    forward()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak_bytes_alone(name: str, size: Size) -> int:
    """Return `peak_bytes` of one forward on the CPU, in a process of its own."""
    command = [
        sys.executable, "-m", "tests.benchmarks.bench_unet", "--peak", name,
        "--dims", str(size.dim), "--frames", str(size.num_frames),
        "--height", str(size.height), "--width", str(size.width),
    ]  # fmt: skip
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


# --- ours beside the plain one ---


def compare(sizes: list[Size], device: str, runs: int) -> Iterator[str]:
    """Yield the lines of a table."""
    yield "| size | parameters | time, s | plain | share | memory, MiB | plain | share | differ |"
    yield "| --- " * 9 + "|"
    for size in sizes:
        inputs = make_inputs(size, device)
        plain, ours = inputs.plain(), inputs.ours()  # also warms up
        error = float((ours - plain).abs().max() / plain.abs().max())
        if error > TOLERANCE:
            raise SystemExit(f"{size}: results differ by {error:.1e}, more than {TOLERANCE:.0e}.")
        forwards = {"ours": inputs.ours, "plain": inputs.plain}
        times = alternate(forwards, runs)
        peaks = {
            name: peak_bytes(forward) if device == "cuda" else peak_bytes_alone(name, size)
            for name, forward in forwards.items()
        }
        parameters = sum(parameter.numel() for parameter in inputs.unet.parameters())
        time_share, memory_share = (x["ours"] / x["plain"] for x in (times, peaks))
        yield (
            f"| {size} | {parameters / 1e6:.1f} M | {times['ours']:.2f} | {times['plain']:.2f} |"
            f" {time_share:.2f} | {peaks['ours'] / MEBIBYTE:.0f} |"
            f" {peaks['plain'] / MEBIBYTE:.0f} | {memory_share:.2f} | {error:.0e} |"
        )
    yield f"| bounds | | | | {TIME_BOUND} | | | {MEMORY_BOUND} | {TOLERANCE:.0e} |"


# --- the published network ---


def compile_regions(unet: DanceUNet) -> None:
    """Compile the parts of the stages: what repeats at the same size is compiled only once."""
    torch._dynamo.config.recompile_limit = REGION_SHAPES
    for module in unet.modules():
        if isinstance(module, ResBlock | SpatialTransformer | TemporalTransformer):
            module.compile(dynamic=False)


def count_flops(size: Size) -> int:
    inputs = make_inputs(size, "meta")
    with FlopCounterMode(display=False) as counter:
        inputs.ours()
    return counter.get_total_flops()


def time_published(sizes: list[Size], device: str, runs: int, modes: list[str]) -> Iterator[str]:
    """Yield the lines of a table of forwards in bfloat16."""
    yield "| size | mode | first, s | forward, ms | TFLOP/s | of an H100's floor | memory, GiB |"
    yield "| --- " * 7 + "|"
    for mode in modes:
        for size in sizes:
            inputs = make_inputs(size, device, torch.bfloat16)
            if mode == "compiled":
                compile_regions(inputs.unet)
            first = seconds(inputs.ours)
            taken = alternate({mode: inputs.ours}, runs)[mode]
            peak = peak_bytes(inputs.ours) / 2**30
            flops = count_flops(size)
            yield (
                f"| {size} | {mode} | {first:.1f} | {1e3 * taken:.1f} | {flops / taken / 1e12:.3g}"
                f" | {1e3 * flops / H100:.1f} ms, {flops / H100 / taken:.1%} | {peak:.3g} |"
            )


# --- the command ---


def machine(device: str) -> str:
    """Describe what it ran on, and how busy that was."""
    name = platform.processor() or platform.machine()
    if device == "cuda":
        name = torch.cuda.get_device_name()
    cores = os.cpu_count() or 1
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return (
        f"{name}, {cores} cores, {torch.get_num_threads()} threads, load average {load};"
        f" Python {platform.python_version()}, torch {torch.__version__}"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="time the published network alone")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dims", type=int, nargs="+", help="widths of the network")
    parser.add_argument("--frames", type=int, nargs="+", help="frames of the clip")
    parser.add_argument("--height", type=int, help="pixels, a multiple of 64")
    parser.add_argument("--width", type=int, help="pixels, a multiple of 64")
    parser.add_argument("--runs", type=int, default=5)
    modes = ("eager", "compiled")
    parser.add_argument("--modes", choices=modes, nargs="+", default=list(modes))
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    parser.add_argument("--peak", choices=("ours", "plain"), help=argparse.SUPPRESS)
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    arguments = parse_arguments()
    device, full = arguments.device, arguments.full
    height = arguments.height or (768 if full else 384)
    width = arguments.width or (512 if full else 256)
    sizes = [
        Size(dim, num_frames, height, width)
        for dim in arguments.dims or ([PUBLISHED_DIM] if full else [64, 160])
        for num_frames in arguments.frames or ([16, 32] if full else [16])
    ]
    if arguments.peak:
        print(peak_bytes(getattr(make_inputs(sizes[0], device), arguments.peak)))
        return
    rows = (
        time_published(sizes, device, arguments.runs, arguments.modes)
        if full
        else compare(sizes, device, arguments.runs)
    )
    lines = [f"    python -m tests.benchmarks.bench_unet {' '.join(sys.argv[1:])}".rstrip(), ""]
    lines += [f"{machine(device)}; median of {arguments.runs} runs.", ""]
    print(*lines, sep="\n")
    for row in rows:
        print(row, flush=True)
        lines.append(row)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
