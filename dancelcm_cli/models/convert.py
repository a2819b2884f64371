"""Published weights become one model folder that the toolkit, and diffusers, can load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from torch import Tensor

from dancelcm_cli.config.model_recipe import write_model_recipe
from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.teacher_keys import load_upstream, read_architecture
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.tensor_files import read_tensors
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.autoencoder import read_autoencoder
from dancelcm_cli.models.clip import empty_prompt_embedding, image_encoder, read_clip
from dancelcm_cli.models.folder import Converted, new_folder, save
from dancelcm_cli.models.sources import Sources
from dancelcm_cli.progress import Progress


def convert(sources: Sources, output: Path, progress: Progress) -> Converted:
    """Write the model folder `output` of the teacher whose parts are `sources`.

    All tensors stay in their files until they are written, so that memory holds each once at most.

    Raises:
        InputError: a file is damaged, would import foreign code, lacks tensors or has others, the
            parts do not fit each other, or `output` exists; nothing is written.
        WeightsMissingError: CLIP lacks a tower.
    """
    with new_folder(output) as temporary, progress.task("Converting", total=4) as advance:
        advance(0, sources.text_encoder.name)
        embedding = empty_prompt_embedding(read_clip(sources.text_encoder))
        advance(1, sources.network.name)
        unet = _network(sources.network, embedding)
        advance(1, sources.autoencoder.name)
        vae = read_autoencoder(sources.autoencoder)
        encoder = image_encoder(read_clip(sources.image_encoder))
        needed: Any = unet.config
        _require(needed.latent_channels, vae.config.latent_channels, "The latents' channels")
        _require(needed.image_embed_dim, encoder.config.projection_dim, "The image embedding")
        advance(1, output.name)
        pipeline = DancePipeline(unet, vae, make_scheduler(ScheduleConfig()), encoder)
        parameters = save(pipeline, temporary)
        write_model_recipe(temporary, 'extends = "unianimate"\n')
        advance(1, "")
    return Converted(output, parameters)


def _network(file: Path, text_embedding: Tensor) -> DanceUNet:
    """Return UniAnimate's network, its weights still in the file, with `text_embedding` in it."""
    tensors = read_tensors(file)
    sizes, latent_channels = read_architecture(tensors)
    text_tokens, width = text_embedding.shape
    _require(sizes.context_dim, width, "The text tower's width")
    with init_empty_weights():
        unet: DanceUNet = DanceUNet.from_network(
            replace(sizes, text_tokens=text_tokens), latent_channels
        )
    load_upstream(unet, tensors)
    unet.text_embedding = text_embedding
    return unet


def _require(expected: int, found: int, what: str) -> None:
    if expected != found:
        raise InputError(
            f"{what} must be {expected} for this network, got {found}.",
            hint="Name the published files by --vae, --image-encoder and --text-encoder.",
        )
