"""Tiny shards, models and recipes: 64 x 64 pixels, 8 x 8 latent cells, a figure that sways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.shards import Clip, ShardWriter, make_clip_id
from dancelcm_cli.perception.keypoints import FACE, LEFT_HAND, RIGHT_HAND
from dancelcm_cli.training.preparation import save_model

MakeRecipe = Callable[..., Recipe]
MakeShards = Callable[..., Path]
CLIP_FRAMES = 6
BODY_AND_FEET = [  # x, y of a person who faces us: 18 body points, 6 of the feet
    *[(0.5, 0.15), (0.5, 0.25), (0.4, 0.25), (0.33, 0.4), (0.3, 0.52), (0.6, 0.25), (0.67, 0.4)],
    *[
        (0.7, 0.52),
        (0.44, 0.52),
        (0.43, 0.72),
        (0.42, 0.9),
        (0.56, 0.52),
        (0.57, 0.72),
        (0.58, 0.9),
    ],
    *[(0.48, 0.13), (0.52, 0.13), (0.46, 0.14), (0.54, 0.14)],
    *[(0.62, 0.94), (0.64, 0.93), (0.58, 0.92), (0.38, 0.94), (0.36, 0.93), (0.42, 0.92)],
]


def _figure(num_frames: int) -> NDArray[np.float32]:
    """Return the keypoints (F, 134, 3) of a person who sways; all points are seen."""
    places = np.zeros((134, 2))
    places[: len(BODY_AND_FEET)] = BODY_AND_FEET
    circle = np.linspace(0, 2 * np.pi, 68)
    places[FACE] = 0.04 * np.stack([np.cos(circle), np.sin(circle)], axis=1) + (0.5, 0.15)
    fan = np.linspace(0, 0.05, 21)[:, None]
    places[LEFT_HAND] = np.array([0.7, 0.52]) + fan
    places[RIGHT_HAND] = np.array([0.3, 0.52]) + fan * (-1, 1)
    keypoints = np.ones((num_frames, 134, 3), np.float32)
    sway = 0.1 * np.sin(np.arange(num_frames))
    keypoints[..., :2] = places
    keypoints[..., 0] += sway[:, None] * (1 - places[:, 1])
    return keypoints


def _clip(source: str, start_frame: int, num_frames: int, store: str, has_face: bool) -> Clip:
    stream = torch.Generator().manual_seed(start_frame + sum(map(ord, source)))
    keypoints = _figure(num_frames)
    latents = torch.randn(4, num_frames, 8, 8, generator=stream).half()
    face = torch.randn(4, 4, 4, generator=stream).half()
    colours = torch.randint(256, (num_frames, 4, 4, 3), generator=stream, dtype=torch.uint8)
    pictures = colours.repeat_interleave(16, 1).repeat_interleave(16, 2).numpy()
    stores_latents = store == "latents"
    return Clip(
        clip_id=make_clip_id(source, start_frame),
        source=source,
        fps=12.0,
        start_frame=start_frame,
        keypoints=keypoints,
        reference_index=0,
        reference_keypoints=keypoints[0],
        latents=latents if stores_latents else None,
        reference_latents=latents[:, 0] if stores_latents else None,
        face_latents=face if has_face and stores_latents else None,
        motion_mask=torch.ones(num_frames, 8, 8, dtype=torch.bool) if stores_latents else None,
        frames=None if stores_latents else pictures,
    )


@pytest.fixture(scope="session")
def make_shards() -> MakeShards:
    """Return a function that fills a shard folder: clips by source, every other one faceless."""

    def make(
        folder: Path,
        clips_per_source: Sequence[int] = (2, 2, 2),
        num_frames: int = CLIP_FRAMES,
        store: str = "latents",
    ) -> Path:
        with ShardWriter(folder, "", {}, 1_000_000) as writer:
            for number, clips in enumerate(clips_per_source):
                for i in range(clips):
                    source, start = f"dance{number}.mp4", i * num_frames
                    writer.add(_clip(source, start, num_frames, store, has_face=i % 2 == 0))
                writer.finish(f"dance{number}.mp4")
        return folder

    return make


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, make_shards: MakeShards) -> Path:
    return make_shards(tmp_path_factory.mktemp("latents") / "shards")


@pytest.fixture(scope="session")
def picture_shards(tmp_path_factory: pytest.TempPathFactory, make_shards: MakeShards) -> Path:
    """Shards of frames, for the autoencoder: 4 x 4 squares of random colours."""
    return make_shards(tmp_path_factory.mktemp("frames") / "shards", store="frames")


@pytest.fixture(scope="session")
def make_recipe() -> MakeRecipe:
    """Return a function that loads the smoke recipe with overrides, on the CPU."""

    def make(*overrides: str) -> Recipe:
        short = ["device=cpu", "train.num_frames=4", "distill.num_frames=4"]
        rare = [
            f"{part}.{what}_every=100"
            for part in ("train", "distill")
            for what in ("validate", "checkpoint")
        ]
        return load_recipe("smoke", [*short, *rare, *overrides])

    return make


@pytest.fixture
def unet() -> DanceUNet:
    """An untrained network whose every layer speaks: nothing is left at its zero start."""
    torch.manual_seed(0)
    network = DanceUNet.from_network(load_recipe("smoke").network, 4)
    for parameter in network.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of an untrained teacher."""
    recipe, folder = load_recipe("smoke"), tmp_path_factory.mktemp("model") / "teacher"
    torch.manual_seed(0)
    vae = PatchAutoencoder(
        latent_channels=4, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    network = DanceUNet.from_network(recipe.network, 4)
    save_model(DancePipeline(network, vae, make_scheduler(recipe.schedule)), recipe, folder)
    return folder
