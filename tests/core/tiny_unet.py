"""The smallest network that has every kind of block."""

from __future__ import annotations

from typing import Any

import torch

from dancelcm_cli.core.unet import DanceUNet

SIZES: dict[str, Any] = {
    "latent_channels": 4,
    "dim": 32,
    "channel_multipliers": (1,),
    "attention_levels": (True,),
    "blocks_per_level": 1,
    "head_dim": 16,
    "stem_heads": 2,
    "context_dim": 32,
    "text_tokens": 0,
    "image_tokens": "reference",
    "first_frame": False,
}


def tiny_unet(**changes: Any) -> DanceUNet:
    """Return an untrained one, with other arguments where `changes` has them."""
    return DanceUNet(**{**SIZES, **changes})


def speaking(unet: DanceUNet) -> DanceUNet:
    """Return `unet` with none of its weights at zero, so that every part of it has a say."""
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if name != "face_gate":
                parameter += 0.02 * torch.randn_like(parameter)
    return unet.eval()
