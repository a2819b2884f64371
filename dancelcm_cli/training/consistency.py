"""One step of consistency distillation (eq. 4 to 8 of the paper, and three of its rivals).

Of a noisy clip at a grid timestep t, the student predicts the latents at the lower edge s of t's
segment. Its target is what a slowly following network predicts for the same edge from where the
guided teacher's solver arrives one step nearer to it. Beside that, a second head of the student is
shown the real latents.

VideoLCM, MultiStep CM and PCM are this step under other settings (`config/methods.py`); VideoLCM
alone has a consistency function of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dancelcm_cli.config.schema import DistillConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import batch_noise
from dancelcm_cli.core.schedule import NoiseSchedule, guided
from dancelcm_cli.core.segments import lower_edge, previous_timestep, segment_edges, solver_grid
from dancelcm_cli.core.solver import solve
from dancelcm_cli.training.losses import space_weight, weighted_losses
from dancelcm_cli.training.network import Trainee, Velocity

LCM_DATA_SPREAD = 0.5  # sigma_data of Latent Consistency Models' boundary condition
LCM_TIMESTEP_SCALING = 10.0


def consistency_losses(
    student: Trainee,
    target: Velocity,
    teacher: Velocity,
    batch: ClipBatch,
    schedule: NoiseSchedule,
    noise_offset: float,
    config: DistillConfig,
    streams: Sequence[torch.Generator],
) -> dict[str, Tensor]:
    """Return `loss` and what it is made of, scalars; gradients reach `student` alone.

    `streams` are CPU generators, one per clip. Solver and loss are float32 whatever the networks
    compute in. `target` and `teacher` must be in eval mode; the teacher is shown no face.

    Keys: `consistency`, `motion` (the part on moving places) and `auxiliary` (the ground-truth
    head) before their weights; `motion_share` of places that move; `spread_ratio` of the standard
    deviations of prediction and target, 1 where nothing fades.
    """
    latents, conditions = batch.latents, batch.conditions
    start, earlier, edge = draw_timesteps(config, schedule.num_timesteps, streams, latents.device)
    noise = batch_noise(latents, noise_offset, streams)
    noisy_latents = schedule.add_noise(latents, noise, start)

    velocity, auxiliary_velocity = student(noisy_latents, start, conditions)
    predicted = _landed(config, schedule, noisy_latents, velocity, start, edge)
    with torch.no_grad():

        def slope(noisy: Tensor, timesteps: Tensor) -> Tensor:
            return guided_velocity(teacher, noisy, timesteps, conditions, config.guidance_scale)

        solved = solve(
            slope, noisy_latents, start, earlier, schedule, config.solver, config.substeps
        )
        velocity = target(solved, earlier, conditions)
        wanted = _landed(config, schedule, solved, velocity, earlier, edge)
    difference = predicted - wanted
    if config.method != "videolcm":
        difference = difference * space_weight(config.loss_space, schedule, start, edge, difference)

    auxiliary = None
    if auxiliary_velocity is not None:
        auxiliary = schedule.predicted_latents(noisy_latents, auxiliary_velocity.float(), start)
        auxiliary = auxiliary - latents
    losses = weighted_losses(difference, auxiliary, batch.motion_mask, config)
    return {**losses, "spread_ratio": predicted.detach().std() / wanted.std()}


def draw_timesteps(
    config: DistillConfig,
    num_timesteps: int,
    streams: Sequence[torch.Generator],
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw where each clip starts, where the solver goes, and the edge below, each `(B,)` int64."""
    grid = solver_grid(config.grid_size, num_timesteps)
    edges = segment_edges(config.segments, config.grid_size, num_timesteps)
    start = draw_of(grid, streams)
    edge = lower_edge(edges, start)
    if config.skip == "fixed":
        earlier = previous_timestep(grid, start)
    else:
        share = torch.cat([torch.rand(1, generator=stream) for stream in streams])
        earlier = edge + (share * (start - edge)).long()
    return start.to(device), earlier.to(device), edge.to(device)


def draw_of(grid: Tensor, streams: Sequence[torch.Generator]) -> Tensor:
    """Draw one of the timesteps `grid` `(n,)` for each clip, `(B,)` int64."""
    draws = [torch.randint(len(grid), (1,), generator=stream) for stream in streams]
    return grid[torch.cat(draws)]


def guided_velocity(
    teacher: Velocity,
    noisy_latents: Tensor,
    timesteps: Tensor,
    conditions: Conditions,
    guidance_scale: float,
) -> Tensor:
    """Return the teacher's v `(B, C, F, h, w)` under classifier-free guidance."""
    conditional = teacher(noisy_latents, timesteps, conditions)
    if guidance_scale == 1.0:
        return conditional
    nothing = torch.zeros(len(noisy_latents), device=noisy_latents.device)
    return guided(
        conditional, teacher(noisy_latents, timesteps, conditions, nothing), guidance_scale
    )


def _landed(
    config: DistillConfig,
    schedule: NoiseSchedule,
    noisy_latents: Tensor,
    velocity: Tensor,
    timesteps: Tensor,
    edge: Tensor,
) -> Tensor:
    """Return the consistency function's value: latents at `edge`, or VideoLCM's clean latents."""
    if config.method == "videolcm":
        return lcm_latents(schedule, noisy_latents, velocity, timesteps)
    return schedule.jump(noisy_latents, velocity, timesteps, edge)


def lcm_latents(
    schedule: NoiseSchedule, noisy_latents: Tensor, velocity: Tensor, timesteps: Tensor
) -> Tensor:
    """Return c_skip x + c_out x0 of Latent Consistency Models (arXiv 2310.04378, section 4.1).

    The scalings make it the identity at timestep 0 and the clean estimate from there on.
    """
    scaled = (LCM_TIMESTEP_SCALING * timesteps.float()).view(-1, *[1] * (noisy_latents.ndim - 1))
    skip = LCM_DATA_SPREAD**2 / (scaled**2 + LCM_DATA_SPREAD**2)
    out = scaled / (scaled**2 + LCM_DATA_SPREAD**2).sqrt()
    estimate = schedule.predicted_latents(noisy_latents.float(), velocity.float(), timesteps)
    return skip * noisy_latents + out * estimate
