"""One step of PeRFlow (arXiv 2405.07510): the student learns straight lines through windows.

The teacher's solver goes through a whole window, from the noised latents to its clean end. At a
random place on the straight line between the two, the student is asked for the clean latents by
which a single step leads to the same end (`core/perflow_scheduler.py` has the algebra).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dancelcm_cli.config.schema import DistillConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.noise import batch_noise
from dancelcm_cli.core.perflow_scheduler import window_factors
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, solver_grid, upper_edge
from dancelcm_cli.core.solver import solve
from dancelcm_cli.training.consistency import draw_of, guided_velocity
from dancelcm_cli.training.losses import weighted_losses
from dancelcm_cli.training.network import Trainee, Velocity


def perflow_losses(
    student: Trainee,
    teacher: Velocity,
    batch: ClipBatch,
    schedule: NoiseSchedule,
    noise_offset: float,
    config: DistillConfig,
    streams: Sequence[torch.Generator],
) -> dict[str, Tensor]:
    """Return `loss` and what it is made of, as `consistency_losses` does; there is no target.

    The windows are the recipe's segments. Student and teacher are compared at the window's end,
    which weighs errors of the clean latents by eta.
    """
    latents, conditions = batch.latents, batch.conditions
    timesteps, noisy_end, clean_end = draw_places(
        config, schedule.num_timesteps, streams, latents.device
    )
    noise = batch_noise(latents, noise_offset, streams)
    start = schedule.add_noise(latents, noise, noisy_end).float()

    def slope(noisy: Tensor, timesteps: Tensor) -> Tensor:
        return guided_velocity(teacher, noisy, timesteps, conditions, config.guidance_scale)

    with torch.no_grad():
        end = solve(slope, start, noisy_end, clean_end, schedule, config.solver, config.substeps)
    share = (noisy_end - timesteps) / (noisy_end - clean_end)
    between = start + share.view(-1, 1, 1, 1, 1) * (end - start)

    velocity, auxiliary_velocity = student(between, timesteps, conditions)
    estimate = schedule.predicted_latents(between, velocity.float(), timesteps)
    kept, gained = window_factors(schedule, noisy_end, clean_end, latents)
    predicted = kept * start + gained * estimate
    auxiliary = None
    if auxiliary_velocity is not None:
        auxiliary = schedule.predicted_latents(between, auxiliary_velocity.float(), timesteps)
        auxiliary = auxiliary - latents
    losses = weighted_losses(predicted - end, auxiliary, batch.motion_mask, config)
    return {**losses, "spread_ratio": predicted.detach().std() / end.std()}


def draw_places(
    config: DistillConfig,
    num_timesteps: int,
    streams: Sequence[torch.Generator],
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw each clip's grid timestep, with the noisy and clean ends of its window, `(B,)` int64."""
    grid = solver_grid(config.grid_size, num_timesteps)
    edges = segment_edges(config.segments, config.grid_size, num_timesteps)
    timesteps = draw_of(grid, streams).to(device)
    return timesteps, upper_edge(edges, timesteps), lower_edge(edges, timesteps)
