"""The best that a model can be expected to reach."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.vae import Frames, decode_latents, encode_frames
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.evaluate.batching import in_batches
from dancelcm_cli.evaluate.candidates import ROUND_TRIP
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.generation import Maker


def round_trip(model: Path, recipe: Recipe) -> Maker:
    """Return what predicts a video by sending its frames through the autoencoder of `model`.

    They are encoded and decoded at the size at which `recipe` animates: what is lost on the way,
    no animation by this model can show.
    """
    settings = recipe.preprocess

    @cache
    def autoencoder() -> Any:  # not loaded where all predictions are there
        return load_pipeline(model).vae.to(pick_device(recipe.device))

    def generate(video: TestVideo, output: Path) -> None:
        index = 0
        for frames in in_batches(video.truth.frames(video.scored_indices), 8):
            fitted = [fit_frame(f, settings.height, settings.width, settings.fit) for f in frames]
            for decoded in _through(autoencoder(), np.stack(fitted)):
                Image.fromarray(decoded).save(output / f"{index:06d}.png")
                index += 1

    return Maker(ROUND_TRIP, model, recipe, generate, load=autoencoder)


def _through(autoencoder: Any, frames: Frames) -> Frames:
    return decode_latents(autoencoder, encode_frames(autoencoder, frames))
