"""Few-step sampling on the grid that a model was trained on.

Three rules say where a step that starts at timestep t lands before the next one starts at t':

    ddim           jump to t' (what a teacher does; exact for a student only where t' is a
                   trained edge)
    edge_renoise   jump to the lower edge of t's segment, then diffuse forward to t' (exact
                   for N >= K)
    lcm            estimate the clean latents, then diffuse them forward to t' (exact for K = 1)

They compute what diffusers' DDIMScheduler, TCDScheduler (with an eta for each step) and
LCMScheduler (Latent Consistency Models, arXiv 2310.04378) do, which the tests show to rounding. The
ten lines of `sample` stand here all the same because those schedulers draw their noise themselves,
for a whole tensor: ours carries the offset it was trained with and is named by frame, so that it
depends on neither window nor device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dancelcm_cli.config.schema import NoisePrior, Sampler, TeacherGrid
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, solver_grid
from dancelcm_cli.errors import ConfigError

logger = logging.getLogger(__name__)

# Told the index of a finished step and where it landed; what it returns, if anything, takes its
# place.
OnStep = Callable[[int, Tensor], Tensor | None]


def go_on(index: int, latents: Tensor) -> None:
    """Leave the latents as they are: the `OnStep` of who does not want to be told."""


@dataclass(frozen=True)
class SamplingOptions:
    """How noise becomes latents; see `AnimateConfig` for what each means."""

    num_inference_steps: int = 4
    guidance_scale: float = 1.0  # 1 is off
    sampler: Sampler = "edge_renoise"
    teacher_grid: TeacherGrid = "trailing"
    noise_prior: NoisePrior = "none"
    prior_timestep: int = 0
    window: int = 0  # frames that the network sees at once; 0: all
    overlap: int = 0  # frames that neighbouring windows share
    seed: int = 0
    temperature: float = 1.0  # scale of the noise that it starts from and that its steps add


@dataclass(frozen=True)
class SamplingStep:
    """One network call at timestep `start`: go to `landing`, then diffuse forward to `end`.

    None stands for the clean latents: timestep 0 still holds a little noise (sigma is 0.03).
    """

    start: int
    landing: int | None
    end: int | None


def teacher_steps(
    num_steps: int, num_timesteps: int, grid: TeacherGrid = "trailing"
) -> list[SamplingStep]:
    """Plan DDIM.

    With `trailing` spacing the first step starts at pure noise and the last lands at 0, however
    many there are. `upstream` is UniAnimate's own grid (`ddim_sample_loop` in its
    `diffusion_ddim.py`): it shows the network pure noise as if it were timestep 751 in four steps,
    and takes more than `num_steps` where that is no divisor: 31 for UniAnimate's default of 30.

    Raises:
        ConfigError: `num_steps` is below 1 or above `num_timesteps`.
    """
    if not 1 <= num_steps <= num_timesteps:
        raise ConfigError(
            f"The number of steps must be from 1 to {num_timesteps}, got {num_steps}.",
            hint="Type --steps 50.",
        )
    if grid == "upstream":
        stride = num_timesteps // num_steps
        starts = [min(1 + t, num_timesteps - 1) for t in range(0, num_timesteps, stride)]
        landings = [max(start - stride, 0) for start in starts]
        return [SamplingStep(s, t, t) for s, t in zip(starts[::-1], landings[::-1], strict=True)]
    starts = [round(num_timesteps * (1 - i / num_steps)) - 1 for i in range(num_steps)]
    return _chain(starts, landings=[*starts[1:], 0])


def student_steps(
    num_steps: int,
    segments: int,
    grid_size: int,
    num_timesteps: int,
    sampler: Sampler,
    first: int | None = None,
) -> list[SamplingStep]:
    """Plan `num_steps` calls of a student of `segments` segments, all at trained timesteps.

    The first starts at pure noise, or at `first`; what would start between the two is left out.

    Raises:
        ConfigError: `num_steps` is below 1 or above the grid's size.
    """
    if not 1 <= num_steps <= grid_size:
        raise ConfigError(
            f"The number of steps must be from 1 to {grid_size}, got {num_steps}.",
            hint=f"Type --steps {min(4, grid_size)}.",
        )
    starts = student_starts(num_steps, segments, grid_size, num_timesteps)
    if first is not None:
        starts = [first, *(start for start in starts if start < first)]
    ends = [*starts[1:], 0]
    if sampler == "ddim":
        return _chain(starts, landings=ends)
    if sampler == "lcm":
        return _chain(starts, landings=[None] * len(starts))
    edges = segment_edges(segments, grid_size, num_timesteps)
    lower = lower_edge(edges, torch.tensor(starts)).tolist()
    return _chain(starts, landings=[min(pair) for pair in zip(lower, ends, strict=True)])


def warn_of_few_steps(num_steps: int, segments: int) -> None:
    """Log why a student of `segments` segments is worse in fewer steps; a teacher has none."""
    if num_steps < segments:
        logger.warning(
            "Fewer steps (%d) than the student has segments (%d): each jump crosses an edge that it"
            " was not trained to cross, so the result will be flatter. Use at least %d steps.",
            num_steps,
            segments,
            segments,
        )


def student_starts(num_steps: int, segments: int, grid_size: int, num_timesteps: int) -> list[int]:
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


def _chain(starts: list[int], landings: Sequence[int | None]) -> list[SamplingStep]:
    ends = [*starts[1:], landings[-1]]
    return [SamplingStep(*step) for step in zip(starts, landings, ends, strict=True)]


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    steps: list[SamplingStep],
    schedule: NoiseSchedule,
    step_noise: Callable[[int], Tensor],
    on_step: OnStep = go_on,
    first: int = 0,
) -> Tensor:
    """Turn `noise` `(B, C, F, h, w)` into latents of the same shape, in float32.

    `predict(noisy_latents, timesteps)` returns v; `step_noise(i)` returns the fresh noise that step
    i diffuses forward with; `on_step` hears of every step. Where the steps before `first` are done,
    `noise` is what they landed on.
    """
    latents = noise.float()

    def at(timestep: int) -> Tensor:
        return torch.full((len(latents),), timestep, device=latents.device)

    for index, step in list(enumerate(steps))[first:]:
        start = at(step.start)
        landing = None if step.landing is None else at(step.landing)
        latents = schedule.jump(latents, predict(latents, start), start, landing)
        if step.end is not None and step.end != step.landing:
            latents = schedule.renoise(latents, step_noise(index), landing, at(step.end))
        replaced = on_step(index, latents)
        latents = latents if replaced is None else replaced
    return latents
