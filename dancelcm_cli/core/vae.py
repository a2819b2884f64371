"""Between pictures and latents: the one place where axes and ranges are turned.

Works with any autoencoder of diffusers' interface: `AutoencoderKL` (UniAnimate's) or
`PatchAutoencoder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from dancelcm_cli.core.memory import with_less_at_once
from dancelcm_cli.errors import InputError

Frames = NDArray[np.uint8]


def to_pixels(frames: Frames) -> Tensor:
    """Turn `(F, H, W, 3)` uint8 into `(F, 3, H, W)` float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).float() / 127.5 - 1.0
    return rearrange(pixels, "f h w c -> f c h w")


def to_frames(pixels: Tensor) -> Frames:
    """Turn `(F, 3, H, W)` in [-1, 1] into `(F, H, W, 3)` uint8, rounded to nearest."""
    levels = (pixels.float().clamp(-1.0, 1.0) * 127.5 + 127.5).round().to(torch.uint8)
    frames: Frames = rearrange(levels, "f c h w -> f h w c").cpu().numpy()
    return frames


def to_pictures(poses: Frames) -> Tensor:
    """Turn `(F, H, W, 3)` uint8 pose pictures into `(3, F, H, W)` float32 in [0, 1]."""
    pictures = torch.from_numpy(np.ascontiguousarray(poses)).float() / 255.0
    return rearrange(pictures, "f h w c -> c f h w")


def reduction(vae: Any) -> int:
    """Return how many pixels along an axis make one latent cell."""
    patch_size = getattr(vae.config, "patch_size", None)
    return int(patch_size or 2 ** (len(vae.config.block_out_channels) - 1))


def require_divisible(height: int, width: int, vae: Any, network: Any) -> None:
    """Refuse pictures that the autoencoder and the network's levels cannot halve so often.

    Args:
        height: In pixels.
        width: In pixels.
        vae: The autoencoder.
        network: The configuration of the UNet, or the recipe's `network` section.

    Raises:
        InputError: they cannot.
    """
    cell = reduction(vae) * 2 ** (len(network.channel_multipliers) - 1)
    if height % cell or width % cell:
        raise InputError(
            f"Height and width must be multiples of {cell} for this network, got {height} x {width}"
            " pixels.",
            hint="Choose others by --set preprocess.height=... and preprocess.width=...; shards are"
            " made again by `dancelcm preprocess` with them.",
        )


@torch.no_grad()
def encode_frames(
    vae: Any, frames: Frames, chunk: int = 8, device: torch.device | None = None
) -> Tensor:
    """Encode `(F, H, W, 3)` uint8 frames to scaled latents `(C, F, h, w)`, float32 on the CPU.

    The mean of the posterior is taken, so that the same frames always give the same latents.
    `device` is where the autoencoder computes; None: where it is.
    """
    encoded = []
    for start in range(0, len(frames), chunk):
        pixels = to_pixels(frames[start : start + chunk]).to(device or vae.device, vae.dtype)
        mean = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        encoded.append(mean.float().cpu())
    return rearrange(torch.cat(encoded), "f c h w -> c f h w")


@torch.no_grad()
def decode_latents(vae: Any, latents: Tensor, chunk: int = 8) -> Frames:
    """Decode scaled latents `(C, F, h, w)` to `(F, H, W, 3)` uint8 frames."""
    return np.stack(list(iter_decoded(vae, latents, chunk)))


@torch.no_grad()
def iter_decoded(
    vae: Any,
    latents: Tensor,
    chunk: int = 8,
    make_room: Callable[[], bool] = lambda: False,
    device: torch.device | None = None,
) -> Iterator[Frames]:
    """Yield the frames `(H, W, 3)` uint8 of scaled latents `(C, F, h, w)` one by one.

    Args:
        vae: The autoencoder.
        latents: Where is no matter.
        chunk: Frames that are decoded at once; fewer from where memory runs out.
        make_room: See `with_less_at_once`.
        device: Where the autoencoder computes; None: where it is.

    Raises:
        OutOfMemoryError: a single frame does not fit into the memory.
    """
    codes, start = rearrange(latents, "c f h w -> f c h w"), 0

    def decode(count: int) -> Frames:
        part = codes[start : start + count].to(device or vae.device, vae.dtype)
        return to_frames(vae.decode(part / vae.config.scaling_factor).sample)

    while start < len(codes):
        frames, chunk = with_less_at_once(decode, chunk, make_room, "one frame of the autoencoder")
        yield from frames
        start += len(frames)
