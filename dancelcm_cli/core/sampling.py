"""Few-step sampling on the grid that a model was trained on.

Three rules say where a step that starts at timestep t lands before the next one starts at t':

    ddim           jump to t' (what a teacher does; exact for a student only where t' is a
                   trained edge)
    edge_renoise   jump to the lower edge of t's segment, then diffuse forward to t' (exact
                   for N >= K)
    lcm            jump to 0, then diffuse forward to t' (exact for K = 1)

The first is DDIM, the last is Latent Consistency Models' multistep sampling (arXiv 2310.04378), the
middle one is the same idea applied within a segment; diffusers' TCDScheduler computes it with a
per-step eta.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dancelcm_cli.config.schema import Sampler
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, solver_grid
from dancelcm_cli.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SamplingStep:
    """One network call at timestep `start`: jump to `landing`, then diffuse forward to `end`."""

    start: int
    landing: int
    end: int


def teacher_steps(num_steps: int, num_timesteps: int) -> list[SamplingStep]:
    """Plan DDIM with trailing spacing: the first step starts at pure noise, the last lands at 0."""
    if not 1 <= num_steps <= num_timesteps:
        raise ConfigError(
            f"The number of steps must be from 1 to {num_timesteps}, got {num_steps}.",
            hint="Type --steps 50.",
        )
    starts = [round(num_timesteps * (1 - i / num_steps)) - 1 for i in range(num_steps)]
    return _chain(starts, landings=[*starts[1:], 0])


def student_steps(
    num_steps: int, segments: int, grid_size: int, num_timesteps: int, sampler: Sampler
) -> list[SamplingStep]:
    """Plan `num_steps` calls of a student of `segments` segments, all at trained timesteps.

    Raises:
        ConfigError: `num_steps` is below 1 or above the grid's size.
    """
    if not 1 <= num_steps <= grid_size:
        raise ConfigError(
            f"The number of steps must be from 1 to {grid_size}, got {num_steps}.",
            hint="Type --steps 4.",
        )
    if num_steps < segments:
        logger.warning(
            "%d steps are fewer than the student's %d segments: each jump crosses an edge that"
            " it was not trained to cross, so the result will be flatter. Use at least %d steps.",
            num_steps,
            segments,
            segments,
        )
    starts = _student_starts(num_steps, segments, grid_size, num_timesteps)
    ends = [*starts[1:], 0]
    if sampler == "ddim":
        return _chain(starts, landings=ends)
    if sampler == "lcm":
        return _chain(starts, landings=[0] * num_steps)
    edges = segment_edges(segments, grid_size, num_timesteps)
    lower = lower_edge(edges, torch.tensor(starts)).tolist()
    landings = [min(edge, end) for edge, end in zip(lower, ends, strict=True)]
    return _chain(starts, landings)


def _student_starts(num_steps: int, segments: int, grid_size: int, num_timesteps: int) -> list[int]:
    """Spread the starts over the segments, extra ones to the noisiest, all on the grid."""
    grid = solver_grid(grid_size, num_timesteps)
    per_segment = grid_size // segments
    if num_steps <= segments:
        chosen = [round(segments * (1 - i / num_steps)) for i in range(num_steps)]
        return [int(grid[segment * per_segment - 1]) for segment in chosen]
    starts = []
    for order, segment in enumerate(range(segments, 0, -1)):
        count = num_steps // segments + (order < num_steps % segments)
        for i in range(count):
            index = segment * per_segment - 1 - (i * per_segment) // count
            starts.append(int(grid[index]))
    return starts


def _chain(starts: list[int], landings: list[int]) -> list[SamplingStep]:
    ends = [*starts[1:], 0]
    return [SamplingStep(*step) for step in zip(starts, landings, ends, strict=True)]


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    steps: list[SamplingStep],
    schedule: NoiseSchedule,
    step_noise: Callable[[int], Tensor],
    on_step: Callable[[int], None] = lambda index: None,
) -> Tensor:
    """Turn `noise` `(B, C, F, h, w)` into latents of the same shape, in float32.

    `predict(noisy_latents, timesteps)` returns v; `step_noise(i)` returns the fresh noise that step
    i diffuses forward with; `on_step(i)` is told when step i is done.
    """
    latents = noise.float()
    for index, step in enumerate(steps):
        start, landing, end = (
            torch.full((len(latents),), t, device=latents.device)
            for t in (step.start, step.landing, step.end)
        )
        latents = schedule.jump(latents, predict(latents, start), start, landing)
        if step.end > step.landing:
            latents = schedule.renoise(latents, step_noise(index), landing, end)
        on_step(index)
    return latents
