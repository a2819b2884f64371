from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch

from dancelcm_cli.config.schema import PreprocessConfig, Recipe
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.data.video import write_video

WriteAnnotated = Callable[..., Path]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that holds an autoencoder and nothing else."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    vae = PatchAutoencoder(
        latent_channels=4, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    vae.save_pretrained(folder / "vae")
    return folder


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        device="cpu",
        preprocess=PreprocessConfig(
            height=32, width=24, num_frames=4, face_size=16, pose_detector="annotation"
        ),
    )


@pytest.fixture
def write_annotated() -> WriteAnnotated:
    """Return a function that writes a video of a moving square with keypoints in and about it."""

    def write(path: Path, num_frames: int, seen_until: int = 10_000) -> Path:
        height, width = 64, 48
        shade = 30 + crc32(path.name.encode()) % 32  # no two names are copies of each other
        frames = np.full((num_frames, height, width, 3), shade, np.uint8)
        offsets = np.random.default_rng(0).uniform(0, 16, (134, 2)).astype(np.float32)
        keypoints = np.empty((num_frames, 134, 2), np.float32)
        for index, frame in enumerate(frames):
            left = 2 * (index % 16)
            frame[24:40, left : left + 16] = 220
            keypoints[index] = offsets + np.array([left, 24])
        keypoints[seen_until:] -= 100  # left of the frame
        visible = (keypoints >= 0).all(axis=-1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, 12)
        np.savez(path.with_suffix(".npz"), keypoints=keypoints, visible=visible)
        return path

    return write
