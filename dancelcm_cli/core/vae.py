"""Between pictures and latents: the one place where axes and ranges are turned.

Works with any autoencoder of diffusers' interface: `AutoencoderKL` (UniAnimate's) or
`PatchAutoencoder`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

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


@torch.no_grad()
def encode_frames(vae: Any, frames: Frames, chunk: int = 8) -> Tensor:
    """Encode `(F, H, W, 3)` uint8 frames to scaled latents `(C, F, h, w)`, float32 on the CPU.

    The mean of the posterior is taken, so that the same frames always give the same latents.
    """
    encoded = []
    for start in range(0, len(frames), chunk):
        pixels = to_pixels(frames[start : start + chunk]).to(vae.device, vae.dtype)
        mean = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        encoded.append(mean.float().cpu())
    return rearrange(torch.cat(encoded), "f c h w -> c f h w")


@torch.no_grad()
def decode_latents(vae: Any, latents: Tensor, chunk: int = 8) -> Frames:
    """Decode scaled latents `(C, F, h, w)` to `(F, H, W, 3)` uint8 frames."""
    frames = []
    for part in torch.split(rearrange(latents, "c f h w -> f c h w"), chunk):
        unscaled = part.to(vae.device, vae.dtype) / vae.config.scaling_factor
        frames.append(to_frames(vae.decode(unscaled).sample))
    return np.concatenate(frames)
