"""The arithmetic of the published network, counted by torch on the meta device."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.unet import DanceUNet
from tests.benchmarks.full_scene import make_autoencoder

KINDS = (  # of operators, by name; the first that fits
    ("attention", "attention|flash|fmha"),
    ("convolution", "conv"),
    ("matrix product", "::(add|b|badd)?mm$|gemm|cublas|linear"),
    ("norm", "norm|welford"),
    ("compiled", "triton"),
    ("copies", "copy|::cat$|memcpy|memset|contiguous|clone"),
)

Counts = Mapping[str, Mapping[str, float]]  # operations by stage and kind of operator


def kind_of(name: str) -> str:
    """Return the kind of an operator or kernel."""
    return next((kind for kind, like in KINDS if re.search(like, name, re.IGNORECASE)), "other")


def counted(work: Callable[[], object]) -> dict[str, float]:
    """Return the floating-point operations of `work` by kind of operator."""
    with FlopCounterMode(display=False) as counter:
        work()
    kinds: dict[str, float] = {}
    for operator, flops in counter.get_flop_counts()["Global"].items():
        name = f"::{str(operator).split('.')[-1]}"
        kind = "attention" if "bmm" in name else kind_of(name)  # which the meta device spells out
        kinds[kind] = kinds.get(kind, 0.0) + flops
    return kinds


def count_stages(recipe: Recipe, channels: tuple[int, ...]) -> Counts:
    """Count what each stage computes; decoding and encoding for one frame."""
    size, frames = recipe.preprocess, recipe.animate.num_frames
    height, width, grid = size.height, size.width, (size.height // 8, size.width // 8)
    with torch.device("meta"):
        unet, vae = DanceUNet.from_network(recipe.network, 4), make_autoencoder(channels)
        embeds = recipe.network.image_embed_dim
        conditions = Conditions(
            pose=torch.empty(1, 3, frames, height, width),
            reference_pose=torch.empty(1, 3, height, width),
            reference_latents=torch.empty(1, 4, *grid),
            image_embeds=torch.empty(1, embeds) if embeds else None,
        )
        encoded = unet.encode_conditions(conditions)
        latents, timestep = torch.empty(1, 4, frames, *grid), torch.zeros(1, dtype=torch.long)
        pixels = torch.empty(1, 3, height, width)
        return {
            "conditions": counted(lambda: unet.encode_conditions(conditions)),
            "step": counted(lambda: unet(latents, timestep, encoded)),
            "decode": counted(lambda: vae.decode(latents[:, :, 0])),
            "encode": counted(lambda: vae.encode(pixels)),
        }


def total(kinds: Mapping[str, float]) -> float:
    return sum(kinds.values())
