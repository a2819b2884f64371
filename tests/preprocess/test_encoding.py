from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import load_vae
from dancelcm_cli.core.vae import encode_frames
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.preprocess.drafts import Drafter, choose_reference
from dancelcm_cli.preprocess.encoding import Encoder, check_sizes
from dancelcm_cli.preprocess.screening import Screened
from dancelcm_cli.preprocess.windows import Window

CELL = 8  # pixels


def random_window() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 64, 48, 3), np.uint8)
    return frames, rng.random((4, 134, 3), np.float32)


def test_the_reference_is_one_of_the_clips_frames(model: Path, recipe: Recipe) -> None:
    frames, keypoints = random_window()
    part = Screened(Window(8, (8, 10, 12, 14)), frames, keypoints, 1, None)
    clip = Encoder(load_vae(model), None).encode(
        Drafter(recipe.preprocess, CELL).draft("a.mp4", 12.0, part)
    )
    assert clip.latents is not None
    assert clip.reference_latents is not None
    assert clip.latents.shape == (4, 4, 4, 3)
    assert clip.latents.dtype == torch.float16
    best = clip.reference_index
    assert torch.equal(clip.reference_latents, clip.latents[:, best])
    assert (clip.reference_keypoints == clip.keypoints[best]).all()
    assert (clip.source, clip.fps, clip.start_frame, clip.frames) == ("a.mp4", 12.0, 8, None)


def test_a_face_is_cut_from_the_frame_before_it_is_shrunk(model: Path, recipe: Recipe) -> None:
    """Eyes and nose are given, and the pixels about them are random at full size."""
    frames, keypoints = random_window()
    keypoints[..., 2] = 0
    keypoints[:, [0, 14, 15]] = [(0.5, 0.6, 1), (0.4, 0.5, 1), (0.6, 0.5, 1)]
    vae = load_vae(model)
    part = Screened(Window(0, (0, 1, 2, 3)), frames, keypoints, 1, None)
    clip = Encoder(vae, None).encode(Drafter(recipe.preprocess, CELL).draft("a.mp4", 12.0, part))
    assert clip.face_latents is not None
    assert clip.face_latents.shape == (4, 2, 2)
    grey = encode_frames(vae, np.full((1, 16, 16, 3), 128, np.uint8))[:, 0].half()
    assert not torch.allclose(clip.face_latents, grey, atol=0.05)


def test_stored_frames_need_no_autoencoder(recipe: Recipe) -> None:
    frames, keypoints = random_window()
    part = Screened(Window(0, (0, 1, 2, 3)), frames, keypoints, 1, None)
    clip = Encoder(None, None).encode(Drafter(recipe.preprocess, None).draft("a.mp4", 12.0, part))
    assert clip.frames is not None
    assert clip.frames.shape == (4, 32, 24, 3)
    assert clip.latents is None


def test_the_frame_that_shows_body_and_face_best_is_chosen() -> None:
    keypoints = np.zeros((4, 134, 3), np.float32)
    keypoints[0, :18, 2] = 1  # from behind: all of the body, no face
    keypoints[1, :92, 2] = 0.9
    keypoints[2, :92, 2] = 0.9  # no better than the one before
    keypoints[3, 92:, 2] = 1  # nothing but hands
    assert choose_reference(keypoints) == 1


@pytest.mark.parametrize("name", ["height", "width", "face_size"])
def test_sizes_must_fit_the_autoencoder(name: str) -> None:
    config = load_recipe(None, [f"preprocess.{name}=20"]).preprocess
    with pytest.raises(ConfigError, match=f"{name} must be a multiple of 8") as caught:
        check_sizes(config, CELL)
    assert f"preprocess.{name}=16" in caught.value.hint
