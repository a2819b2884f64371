"""Gaussian noise that depends on its name and place alone.

Noise is drawn on the CPU frame by frame, so that it is the same whatever the device, the batch, the
window and the number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

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


def sample_streams(seed: int, name: str, numbers: Sequence[int]) -> list[torch.Generator]:
    """Return one stream per training sample, named by its number in the order of the run.

    So a sample meets the same randomness whichever process and part of a batch it falls into.
    """
    return [generator(seed, name, number) for number in numbers]


def batch_noise(
    latents: Tensor, offset_strength: float, streams: Sequence[torch.Generator]
) -> Tensor:
    """Return noise for a training batch of latents `(B, C, F, h, w)`, drawn on the CPU.

    A GPU has to wait for it, so all cores draw.
    """

    def draw(stream: torch.Generator) -> Tensor:
        noise = torch.randn(latents.shape[1:], generator=stream)
        offset = torch.randn((*latents.shape[1:3], 1, 1), generator=stream)
        return with_offset(noise, offset, offset_strength)

    with ThreadPoolExecutor() as pool:
        return torch.stack(list(pool.map(draw, streams))).to(latents.device)
