"""A run that trains the small autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.model_folder import load_vae
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.vae import Frames, to_frames, to_pixels
from dancelcm_cli.data.atomic import atomic_folder
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.training.autoencoder import autoencoder_losses
from dancelcm_cli.training.batches import PictureBatches, clip_frames, split_sources
from dancelcm_cli.training.ema import Average
from dancelcm_cli.training.preparation import PreparedRun, loop_config
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.task import Criterion, Task
from dancelcm_cli.training.validation import psnr

COMPONENT_PICTURES = 2000  # pictures whose patches give the principal components
SCALING_PICTURES = 500  # pictures whose latents give the scaling factor
VALIDATION_PICTURES = 100
CHUNK = 10  # pictures that pass at once where no gradient is kept


def prepare_autoencoder(inputs: RunInputs, output: Path, recipe: Recipe) -> PreparedRun:
    """Build network, data and validation of an autoencoder's run."""
    config = recipe.train
    shards = ShardReader(inputs.shards)
    device = pick_device(recipe.device)
    training, validation = split_sources(shards, config.validation_share, recipe.seed)
    if inputs.model is None:
        network = _untrained(recipe)
        network.start_from_components(to_pixels(_pictures(shards, training, COMPONENT_PICTURES)))
    else:
        network = _load(inputs.model)
    network = network.train().requires_grad_(True).to(device)
    average = Average(network, recipe.compute, asked=False)
    pictures = _pictures(shards, validation or training, VALIDATION_PICTURES)

    def losses(network: PatchAutoencoder, batch: Tensor) -> dict[str, Tensor]:
        return autoencoder_losses(network, batch.to(device), recipe.compute.precision)

    @torch.no_grad()
    def validate(step: int) -> dict[str, float]:
        chunks = torch.split(to_pixels(pictures).to(device), CHUNK)
        return {
            "psnr": psnr(
                to_frames(torch.cat([average.network(chunk) for chunk in chunks])), pictures
            )
        }

    def save(folder: Path) -> None:
        some = to_pixels(_pictures(shards, training, SCALING_PICTURES)).to(device)
        average.network.register_to_config(scaling_factor=1 / _spread(average.network, some))
        with atomic_folder(folder) as temporary:
            average.network.save_pretrained(temporary / "vae")

    batches = PictureBatches(
        shards, training, steps=config.steps, batch_size=config.batch_size, seed=recipe.seed
    )
    return PreparedRun(
        Task(network, average, batches, losses, validate, Criterion("psnr", largest=True)),
        loop_config(config, recipe.compute, untrained=True),
        save,
    )


@torch.no_grad()
def _spread(vae: PatchAutoencoder, pixels: Tensor) -> float:
    """Return the standard deviation of the latents of `(N, 3, H, W)` pictures."""
    codes = [vae.encode(chunk).latent_dist.mode() for chunk in torch.split(pixels, CHUNK)]
    return float(torch.cat(codes).std())


def _untrained(recipe: Recipe) -> PatchAutoencoder:
    torch.manual_seed(recipe.seed)
    return PatchAutoencoder(**asdict(recipe.autoencoder))


def _load(model: Path) -> PatchAutoencoder:
    vae = load_vae(model)
    if not isinstance(vae, PatchAutoencoder):
        raise InputError(
            f"The autoencoder of {model} must be a PatchAutoencoder, got {type(vae).__name__}.",
            hint="Only the small autoencoder can be trained here.",
        )
    return vae


def _pictures(shards: ShardReader, indices: Sequence[int], count: int) -> Frames:
    """Return up to `count` stored frames `(N, H, W, 3)`, evenly over the clips and within each."""
    per_clip = max(1, count // len(indices))
    pictures = []
    for index in indices[:: max(1, len(indices) // count)]:
        frames = clip_frames(shards[index])
        places = np.linspace(0, len(frames) - 1, min(per_clip, len(frames)))
        pictures.append(frames[places.round().astype(int)])
    return np.concatenate(pictures)[:count]
