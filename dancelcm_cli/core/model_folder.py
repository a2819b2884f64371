"""The model folder: a diffusers pipeline on the disk, refused in one sentence where it is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.utils.logging import disable_progress_bar
from transformers import CLIPVisionModelWithProjection
from transformers.utils import logging as transformers_logging

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import FORMAT_VERSION, DancePipeline
from dancelcm_cli.errors import InputError


def make_scheduler(config: ScheduleConfig) -> DDIMScheduler:
    """Return the diffusers scheduler that records `config` in a model folder."""
    return DDIMScheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
    )


def load_pipeline(folder: Path) -> DancePipeline:
    """Load a model folder in float32, ready for inference.

    Raises:
        InputError: the folder is no model folder, or of another format version.
    """
    read_index(folder)
    disable_progress_bar()  # a few files are no long work
    pipeline: DancePipeline = DancePipeline.from_pretrained(
        folder, image_encoder=load_image_encoder(folder)
    )
    for part in (pipeline, pipeline.unet, pipeline.vae):
        _forget_origin(part)
    pipeline.unet.eval().requires_grad_(False)
    pipeline.vae.eval().requires_grad_(False)
    return pipeline


def read_index(folder: Path) -> dict[str, Any]:
    """Return what `model_index.json` says of a model folder: its parts and settings.

    Raises:
        InputError: the folder is no model folder, or of another format version.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError(
            f"{folder} must be a model folder, but it has no model_index.json.",
            hint="Give what `dancelcm train` or `distill` wrote, such as runs/.../model.",
        )
    content = read_config(index)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(
            f"The format version of {folder} must be {FORMAT_VERSION}, got {version}.",
            hint="Use the dancelcm version that wrote it, or train the model again.",
        )
    return content


def load_vae(folder: Path) -> PatchAutoencoder | AutoencoderKL:
    """Load the autoencoder of a model folder (its `vae/`) in float32, ready for inference."""
    config = folder / "vae" / "config.json"
    if not config.is_file():
        raise InputError(
            f"{folder} must be a model folder with an autoencoder, but it has no vae/config.json.",
            hint="Give the folder that `dancelcm train` wrote, such as runs/.../model.",
        )
    own = read_config(config).get("_class_name") == PatchAutoencoder.__name__
    kind = PatchAutoencoder if own else AutoencoderKL
    vae = kind.from_pretrained(config.parent).eval().requires_grad_(False)
    _forget_origin(vae)
    return vae


def load_image_encoder(folder: Path) -> CLIPVisionModelWithProjection | None:
    """Load the image encoder of a model folder in float32, or None where there is none."""
    if not (folder / "image_encoder" / "config.json").is_file():
        return None
    transformers_logging.disable_progress_bar()
    encoder = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder")
    return encoder.float().eval().requires_grad_(False)


def read_config(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a model folder, or of a part of one.

    Raises:
        InputError: it is missing or no JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise InputError(f"{path} must be a JSON object.", hint="Copy the model again.")
    return config


def _forget_origin(part: Any) -> None:
    """Drop the path that diffusers notes on loading: saved again, it would tell of this machine."""
    part.register_to_config(_name_or_path="")
