"""Gaussian noise that depends on its name and place alone.

Noise is drawn on the CPU frame by frame, so that it is the same whatever the device, the batch, the
window and the number of processes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dancelcm_cli.seeding import stream_seed


def generator(seed: int, *name: str | int) -> torch.Generator:
    """Return the CPU generator of the stream `name` under `seed`."""
    return torch.Generator().manual_seed(stream_seed(seed, *name))


def with_offset(noise: Tensor, offset: Tensor, strength: float) -> Tensor:
    """Add to noise `(..., h, w)` an `offset` `(..., 1, 1)`, constant over a channel of a frame."""
    return noise + strength * offset


def frame_noise(
    shape: tuple[int, int, int],
    frames: range,
    offset_strength: float,
    seed: int,
    *name: str | int,
) -> Tensor:
    """Return `(C, F, h, w)` noise for the frames numbered `frames`; `shape` is (C, h, w)."""
    drawn = []
    for frame in frames:
        stream = generator(seed, *name, frame)
        noise = torch.randn(shape, generator=stream)
        offset = torch.randn((shape[0], 1, 1), generator=stream)
        drawn.append(with_offset(noise, offset, offset_strength))
    return torch.stack(drawn, dim=1)


def batch_noise(latents: Tensor, offset_strength: float, stream: torch.Generator) -> Tensor:
    """Return noise for a training batch of latents `(B, C, F, h, w)`, drawn on the CPU."""
    noise = torch.randn(latents.shape, generator=stream)
    offset = torch.randn((*latents.shape[:3], 1, 1), generator=stream)
    return with_offset(noise, offset, offset_strength).to(latents.device)
