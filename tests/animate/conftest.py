"""A tiny untrained student, and the sample picture and dancer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from dancelcm_cli.animate.people import PersonFinder
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.perception.keypoints import PoseDetector, load_detector

MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="package", autouse=True)
def pose_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is found for these tests, and for nobody else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DANCELCM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of an untrained student of two segments that reads faces."""
    recipe, folder = load_recipe("smoke"), tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    vae = PatchAutoencoder(
        latent_channels=4, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    unet = DanceUNet.from_network(recipe.network, 4, "vae")
    scheduler = make_scheduler(recipe.schedule)
    DancePipeline(unet, vae, scheduler, num_segments=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_recipe() -> MakeRecipe:
    """Return a function that loads the smoke recipe for three frames, with overrides."""

    def make(*overrides: str) -> Recipe:
        return load_recipe("smoke", ["device=cpu", "animate.num_frames=3", *overrides])

    return make


@pytest.fixture(scope="session")
def detector() -> PoseDetector:
    return load_detector("blazepose", bundled("blazepose"))


@pytest.fixture(scope="session")
def finder() -> PersonFinder:
    return PersonFinder("blazepose")


@pytest.fixture
def photo() -> Path:
    return bundled("samples/reference.png")


@pytest.fixture
def dancer() -> Path:
    """A video of 24 frames at 12 frames/s with its keypoints beside it."""
    return bundled("samples/driving.mp4")
