"""Small files in the layouts in which the large ones are published."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from dancelcm_cli.core.teacher_keys import upstream_keys
from dancelcm_cli.core.unet import DanceUNet

NETWORK = "unianimate_16f_32f_non_ema_223000.pth"
AUTOENCODER = "v2-1_512-ema-pruned.ckpt"
CLIP = "open_clip_pytorch_model.bin"
CONTEXT_DIM, TEXT_TOKENS, IMAGE_EMBED_DIM, WORDS = 128, 7, 32, 100
CALLBACK = "pytorch_lightning.callbacks.model_checkpoint"


def network() -> DanceUNet:
    """Return a small network of UniAnimate's family, of which every weight differs from zero."""
    unet = DanceUNet(
        dim=32,
        channel_multipliers=(1, 2),
        attention_levels=(True, False),
        blocks_per_level=1,
        head_dim=8,
        context_dim=CONTEXT_DIM,
        text_tokens=TEXT_TOKENS,
        image_embed_dim=IMAGE_EMBED_DIM,
        first_frame=False,
    )
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=stream) / 8)
    return unet


def upstream(unet: DanceUNet) -> dict[str, Tensor]:
    """Return its tensors as UniAnimate lays them out: 3-D convolutions, projections by 1."""
    tensors = {}
    for name, tensor in unet.named_parameters():
        spread = ".convs." in name or re.search(r"temporal(_in)?\.proj_", name)
        more = spread and name.endswith("weight")
        tensors[upstream_keys(unet)[name]] = tensor.data[..., None] if more else tensor.data
    return tensors


def autoencoder() -> AutoencoderKL:
    """Return a small autoencoder of Stable Diffusion's kind."""
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        layers_per_block=1,
        sample_size=512,
    )


def ldm_tensors(vae: AutoencoderKL) -> dict[str, Tensor]:
    """Return its tensors under the names that Stable Diffusion's authors gave them."""
    levels = len(vae.config.block_out_channels)
    spelt = {
        r"down_blocks\.(\d+)\.resnets\.(\d+)": r"down.\1.block.\2",
        r"down_blocks\.(\d+)\.downsamplers\.0": r"down.\1.downsample",
        r"up_blocks\.(\d+)\.resnets\.(\d+)": lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}",
        r"up_blocks\.(\d+)\.upsamplers\.0": lambda m: f"up.{levels - 1 - int(m[1])}.upsample",
        r"mid_block\.resnets\.(\d+)": lambda m: f"mid.block_{int(m[1]) + 1}",
        r"mid_block\.attentions\.0\.group_norm": "mid.attn_1.norm",
        r"mid_block\.attentions\.0\.to_([qkv])": r"mid.attn_1.\1",
        r"mid_block\.attentions\.0\.to_out\.0": "mid.attn_1.proj_out",
        "conv_shortcut": "nin_shortcut",
        "conv_norm_out": "norm_out",
    }
    tensors = {}
    for name, tensor in vae.state_dict().items():
        for pattern, spelling in spelt.items():
            name = re.sub(pattern, spelling, name)
        attends = ".attn_1." in name and tensor.ndim == 2  # by convolutions of one
        tensors[name] = tensor[..., None, None] if attends else tensor
    return tensors


def openclip_tensors(
    width: int = CONTEXT_DIM,
    hidden: int = 4 * CONTEXT_DIM,
    text_tokens: int = TEXT_TOKENS,
    embed_dim: int = IMAGE_EMBED_DIM,
) -> dict[str, Tensor]:
    """Return the tensors of a small CLIP of OpenCLIP's: 3 layers for text, 2 for pictures."""
    stream = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=stream) / 8

    def layer(name: str, out_features: int, in_features: int) -> dict[str, Tensor]:
        weight, bias = draw(out_features, in_features), draw(out_features)
        return {f"{name}.weight": weight, f"{name}.bias": bias}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + draw(width), f"{name}.bias": draw(width)}

    def block(name: str) -> dict[str, Tensor]:
        return {
            **norm(f"{name}.ln_1"),
            f"{name}.attn.in_proj_weight": draw(3 * width, width),
            f"{name}.attn.in_proj_bias": draw(3 * width),
            **layer(f"{name}.attn.out_proj", width, width),
            **norm(f"{name}.ln_2"),
            **layer(f"{name}.mlp.c_fc", hidden, width),
            **layer(f"{name}.mlp.c_proj", width, hidden),
        }

    tensors = {
        "positional_embedding": draw(text_tokens, width),
        "text_projection": draw(width, embed_dim),
        "logit_scale": torch.tensor(4.6),
        "visual.class_embedding": draw(width),
        "visual.positional_embedding": draw(5, width),
        "visual.proj": draw(width, embed_dim),
        "visual.conv1.weight": draw(width, 3, 14, 14),
        **norm("visual.ln_pre"),
        **norm("visual.ln_post"),
        "token_embedding.weight": draw(WORDS, width),
        **norm("ln_final"),
    }
    for index in range(3):
        tensors |= block(f"transformer.resblocks.{index}")
    for index in range(2):
        tensors |= block(f"visual.transformer.resblocks.{index}")
    return tensors


def save_lightning(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint of Lightning's, with what it keeps beside the weights."""
    with lightning_installed() as callback:
        kept = {"monitor": "loss", "best_model_score": np.float32(0.5), "best": callback()}
        torch.save(
            {
                "epoch": 3,
                "pytorch-lightning_version": "1.4.2",
                "state_dict": tensors,
                "callbacks": {callback: kept},
            },
            path,
        )


@contextmanager
def lightning_installed() -> Iterator[Any]:
    """Let pickles name Lightning's callback, as if it were installed, while they are written."""
    forged: Any = ModuleType(CALLBACK)
    forged.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": CALLBACK})
    packages = {CALLBACK.rsplit(".", depth)[0]: forged for depth in range(3)}
    with pytest.MonkeyPatch.context() as patch:
        for name, module in packages.items():
            patch.setitem(sys.modules, name, module)
        yield forged.ModelCheckpoint


def publish(folder: Path) -> Path:
    """Write the three files into `folder`, as UniAnimate's instructions have them."""
    folder.mkdir(parents=True)
    torch.save({"state_dict": upstream(network()), "step": 223000}, folder / NETWORK)
    vae = {
        f"first_stage_model.{name}": tensor for name, tensor in ldm_tensors(autoencoder()).items()
    }
    others = {"model.diffusion_model.out.2.bias": torch.zeros(4), "betas": torch.zeros(1000)}
    save_lightning(folder / AUTOENCODER, vae | others)
    torch.save(openclip_tensors(), folder / CLIP)
    return folder
