"""Time and memory of the published network, end to end and by stage."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from dancelcm_cli.core.conditioning import StreamedConditions
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.vae import decode_latents
from tests.benchmarks.full_scene import Scene

RUNS = 3
GIBIBYTE = 2**30


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


def percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else ""
