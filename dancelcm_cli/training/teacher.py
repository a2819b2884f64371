"""One training step of a teacher: the diffusion loss on v."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.noise import batch_noise
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.unet import DanceUNet


def stratified_timesteps(count: int, num_timesteps: int, stream: torch.Generator) -> Tensor:
    """Draw `(count,)` timesteps, one from each of `count` equal parts of the schedule, shuffled.

    Uniform over the schedule as single draws are, but a batch covers it evenly.
    """
    places = (torch.arange(count) + torch.rand(count, generator=stream)) / count
    timesteps = (places * num_timesteps).long().clamp(max=num_timesteps - 1)
    return timesteps[torch.randperm(count, generator=stream)]


def teacher_losses(
    unet: DanceUNet,
    batch: ClipBatch,
    schedule: NoiseSchedule,
    noise_offset: float,
    condition_dropout: float,
    stream: torch.Generator,
) -> dict[str, Tensor]:
    """Return the mean squared error of v under the key `loss`.

    Each sample loses all its conditions with probability `condition_dropout`, which teaches the
    null condition that guidance needs. Every random number comes from the CPU generator `stream`.
    """
    latents = batch.latents
    count, device = len(latents), latents.device
    timesteps = stratified_timesteps(count, schedule.num_timesteps, stream).to(device)
    noise = batch_noise(latents, noise_offset, stream)
    keep = (torch.rand(count, generator=stream) >= condition_dropout).to(device, latents.dtype)
    noisy_latents = schedule.add_noise(latents, noise, timesteps)
    predicted = unet(noisy_latents, timesteps, unet.encode_conditions(batch.conditions, keep))
    return {"loss": F.mse_loss(predicted.float(), schedule.velocity(latents, noise, timesteps))}
