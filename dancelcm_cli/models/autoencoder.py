"""Stable Diffusion's autoencoder, as UniAnimate uses it, from either of its two spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from torch import Tensor

from dancelcm_cli.core.misfits import fill
from dancelcm_cli.core.model_folder import read_config
from dancelcm_cli.data.tensor_files import read_folder_tensors, read_tensors
from dancelcm_cli.errors import InputError

# UniAnimate's, whatever a config says: that of i2vgen-xl has a digit wrong.
SCALING_FACTOR = 0.18215
SAMPLE_SIZE = 512  # pixels: what Stable Diffusion 2.1's checkpoint was trained at
PREFIX = "first_stage_model."  # of the autoencoder in a checkpoint of all of Stable Diffusion
WHAT_TO_GIVE = "Give v2-1_512-ema-pruned.ckpt, or the file or folder of sd-vae-ft-mse."
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
OLD_ATTENTION_NAME = re.compile(r"\.attentions\.0\.(query|key|value|proj_attn)\.")


def read_autoencoder(source: Path) -> AutoencoderKL:
    """Return the autoencoder of a checkpoint, a file or a folder, its weights still in the file.

    Args:
        source: Stable Diffusion's checkpoint, its autoencoder alone, or the folder of diffusers.

    Raises:
        InputError: it holds no such autoencoder, or would import foreign code.
    """
    tensors = read_folder_tensors(source) if source.is_dir() else read_tensors(source)
    if any(name.startswith(PREFIX) for name in tensors):
        tensors = {n.removeprefix(PREFIX): t for n, t in tensors.items() if n.startswith(PREFIX)}
    config = _sizes(tensors, source)
    if "encoder.down.0.block.0.conv1.weight" in tensors:
        tensors = convert_ldm_vae_checkpoint(tensors, config)
    tensors = {_modern(name): tensor for name, tensor in tensors.items()}
    try:
        with init_empty_weights():
            autoencoder = AutoencoderKL.from_config(config | _stated(source))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{source} makes no autoencoder of Stable Diffusion's kind ({error}).",
            hint=WHAT_TO_GIVE,
        ) from error
    autoencoder.register_to_config(scaling_factor=SCALING_FACTOR)
    fill(autoencoder, tensors, source)
    return autoencoder


def _sizes(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Any]:
    """Read the config of diffusers off the tensors, by the names of LDM or of diffusers."""
    for level, block in (("encoder.down", "block"), ("encoder.down_blocks", "resnets")):
        widths = []
        for index in count():
            first = tensors.get(f"{level}.{index}.{block}.0.conv1.weight")
            if first is None:
                break
            widths.append(len(first))
        blocks = [n for n in tensors if re.fullmatch(rf"{level}\.0\.{block}\.\d+\.conv1\.bias", n)]
        if widths and "decoder.conv_in.weight" in tensors:
            return {
                "block_out_channels": widths,
                "layers_per_block": len(blocks),
                "latent_channels": tensors["decoder.conv_in.weight"].shape[1],
                "down_block_types": ["DownEncoderBlock2D"] * len(widths),
                "up_block_types": ["UpDecoderBlock2D"] * len(widths),
                "sample_size": SAMPLE_SIZE,
            }
    raise InputError(
        f"{source} must hold Stable Diffusion's autoencoder; it has {len(tensors)} tensors, "
        f"such as {'; '.join(sorted(tensors)[:10])}.",
        hint=WHAT_TO_GIVE,
    )


def _stated(source: Path) -> dict[str, Any]:
    """Return what the config beside the weights says that they do not."""
    file = source / "config.json"
    if not file.is_file():
        return {}
    return {name: value for name, value in read_config(file).items() if not name.startswith("_")}


def _modern(name: str) -> str:
    """Spell an attention of early diffusers, as sd-vae-ft-mse has it, like that of today."""
    return OLD_ATTENTION_NAME.sub(lambda old: f".attentions.0.{OLD_ATTENTION[old[1]]}.", name)
