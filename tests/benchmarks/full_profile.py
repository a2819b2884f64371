"""Where the device's time goes: by kind of operator, and the longest kernels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch.profiler import ProfilerActivity, profile

from dancelcm_cli.core.vae import decode_latents
from tests.benchmarks.bench_unet import H100
from tests.benchmarks.full_counts import Counts, kind_of
from tests.benchmarks.full_scene import Scene
from tests.benchmarks.full_stages import now, percent, seconds
from tests.benchmarks.tables import Report

TOP = 15


def profile_variant(scene: Scene, counts: Counts, report: Report, name: str) -> None:
    """Profile one denoising step and the decoding of one chunk."""
    chunk = scene.recipe.animate.decode_chunk
    latents = scene.noise(min(chunk, scene.recipe.animate.num_frames))[0]
    frames = latents.shape[1]
    step, decode = counts["step"], counts["decode"]
    profiled(scene, report, f"one step, {name}", step, scene.network_call())
    per_chunk = {kind: frames * flops for kind, flops in decode.items()}
    vae = scene.pipeline.vae
    work = partial(decode_latents, vae, latents, chunk)
    profiled(scene, report, f"decoding {frames} frames, {name}", per_chunk, work)


def profiled(
    scene: Scene,
    report: Report,
    title: str,
    flops: Mapping[str, float],
    work: Callable[[], object],
) -> None:
    """Report where the device's time goes: by kind of operator, and the longest kernels."""
    on_gpu = scene.device.type == "cuda"
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
    report.table(f"Kinds of operators, {title}", columns, rows)
    for what, found in (("operators", operators), ("kernels", kernels)):
        longest = sorted(found, key=lambda e: -getattr(e, clock))[:TOP]
        rows = [
            (shortened(e.key), e.count, f"{getattr(e, clock) / 1e3:.2f}",
             percent(getattr(e, clock) / 1e6, busy))
            for e in longest
        ]  # fmt: skip
        report.table(f"Longest {what}, {title}", (what, "calls", "ms", "share"), rows)


def shortened(name: str) -> str:
    """Return a kernel's name without what C++ adds to it, fit for a table."""
    plain = re.sub(r"\b(void|at::native::|at::|c10::|cutlass::|std::)", "", name)
    return plain.replace("|", "/")[:110]
