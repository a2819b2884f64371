"""One step of segmented consistency distillation (eq. 4 of the paper).

Of a noisy clip at a grid timestep t, the student predicts the latents at the lower edge s of t's
segment. Its target is what the slowly following target network predicts for the same edge from one
solver step of the guided teacher nearer to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dancelcm_cli.config.schema import DistillConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.noise import batch_noise
from dancelcm_cli.core.schedule import NoiseSchedule, guided
from dancelcm_cli.core.segments import lower_edge, previous_timestep, segment_edges, solver_grid
from dancelcm_cli.core.unet import DanceUNet


def pseudo_huber(difference: Tensor, constant: float) -> Tensor:
    """Return `sqrt(d^2 + c^2) - c` elementwise: quadratic below c, linear above."""
    return (difference**2 + constant**2).sqrt() - constant


def consistency_losses(
    student: DanceUNet,
    target: DanceUNet,
    teacher: DanceUNet,
    batch: ClipBatch,
    schedule: NoiseSchedule,
    noise_offset: float,
    config: DistillConfig,
    stream: torch.Generator,
) -> dict[str, Tensor]:
    """Return the mean pseudo-Huber distance at the edge, `loss`; gradients reach `student` alone.

    Solver and loss are float32. The teacher sees no face tokens, `target` and `teacher` are in eval
    mode.
    """
    latents = batch.latents
    device = latents.device
    grid = solver_grid(config.grid_size, schedule.num_timesteps)
    edges = segment_edges(config.segments, config.grid_size, schedule.num_timesteps).to(device)
    index = torch.randint(config.grid_size, (len(latents),), generator=stream)
    timesteps = grid[index].to(device)
    earlier = previous_timestep(grid, timesteps)
    edge = lower_edge(edges, timesteps)
    noise = batch_noise(latents, noise_offset, stream)
    noisy_latents = schedule.add_noise(latents, noise, timesteps)

    velocity = student(noisy_latents, timesteps, student.encode_conditions(batch.conditions))
    predicted = schedule.jump(noisy_latents, velocity, timesteps, edge)
    with torch.no_grad():
        velocity = teacher_velocity(teacher, batch, noisy_latents, timesteps, config.guidance_scale)
        solved = schedule.jump(noisy_latents, velocity, timesteps, earlier)
        velocity = target(solved, earlier, target.encode_conditions(batch.conditions))
        wanted = schedule.jump(solved, velocity, earlier, edge)
    return {"loss": pseudo_huber(predicted - wanted, config.huber_constant).mean()}


def teacher_velocity(
    teacher: DanceUNet,
    batch: ClipBatch,
    noisy_latents: Tensor,
    timesteps: Tensor,
    guidance_scale: float,
) -> Tensor:
    """Return the teacher's guided v `(B, C, F, h, w)`."""
    conditional = teacher(noisy_latents, timesteps, teacher.encode_conditions(batch.conditions))
    if guidance_scale == 1.0:
        return conditional
    nothing = torch.zeros(len(noisy_latents), device=noisy_latents.device)
    null = teacher.encode_conditions(batch.conditions, keep=nothing)
    return guided(conditional, teacher(noisy_latents, timesteps, null), guidance_scale)
