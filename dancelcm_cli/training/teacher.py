"""One training step of a teacher: the diffusion loss on v."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.noise import batch_noise
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.training.network import Trainee

GOLDEN_RATIO = (5**0.5 - 1) / 2


def even_timesteps(numbers: Sequence[int], num_timesteps: int) -> Tensor:
    """Return the `(B,)` timesteps of the samples numbered `numbers`.

    Multiples of the golden ratio, modulo one, cover the schedule evenly however many neighbours
    are taken, so that a small batch sees all noise levels and the loss is steady.
    """
    places = torch.tensor(list(numbers), dtype=torch.float64) * GOLDEN_RATIO % 1.0
    return (places * num_timesteps).long()


def teacher_losses(
    network: Trainee,
    batch: ClipBatch,
    schedule: NoiseSchedule,
    noise_offset: float,
    condition_dropout: float,
    streams: Sequence[torch.Generator],
) -> dict[str, Tensor]:
    """Return the mean squared error of v under the key `loss`.

    Each sample loses all its conditions with probability `condition_dropout`, which teaches the
    null condition that guidance needs. `streams` are CPU generators, one per clip.
    """
    latents = batch.latents
    timesteps = even_timesteps(batch.numbers, schedule.num_timesteps).to(latents.device)
    noise = batch_noise(latents, noise_offset, streams)
    draws = torch.cat([torch.rand(1, generator=stream) for stream in streams])
    keep = (draws >= condition_dropout).to(latents.device, latents.dtype)
    noisy_latents = schedule.add_noise(latents, noise, timesteps)
    predicted, _ = network(noisy_latents, timesteps, batch.conditions, keep)
    return {"loss": F.mse_loss(predicted.float(), schedule.velocity(latents, noise, timesteps))}
