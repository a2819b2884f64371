import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from dancelcm_cli.core.image_encoder import DEVIATION, MEAN, encode_image, to_clip_pixels
from dancelcm_cli.core.model_folder import load_image_encoder, load_pipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.errors import InputError, WeightsMissingError
from tests.core.tiny_clip import EMBED_DIM, tiny_clip_pipeline, tiny_image_encoder


def picture(*shape: int, seed: int = 0) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.fixture
def pictures() -> dict[str, Any]:
    return {
        "image": picture(16, 8),
        "pose": picture(3, 16, 8),
        "reference_pose": picture(16, 8),
        "face": picture(16, 16),
        "photo": picture(60, 40),
    }


# --- the pixels ---


@pytest.mark.parametrize("shape", [(17, 60), (224, 224), (300, 500)])
def test_pixels_are_those_of_torchvision_on_a_pillow_image(shape: tuple[int, int]) -> None:
    drawn = picture(*shape)
    theirs = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BILINEAR),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, DEVIATION),
        ]
    )
    torch.testing.assert_close(to_clip_pixels(drawn, 224), theirs(Image.fromarray(drawn)))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_colour_becomes_one_number_a_channel(level: int) -> None:
    pixels = to_clip_pixels(np.full((30, 50, 3), level, np.uint8), 28)
    assert pixels.shape == (3, 28, 28)
    for channel, mean, deviation in zip(pixels, MEAN, DEVIATION, strict=True):
        expected = torch.full((28, 28), (level / 255 - mean) / deviation)
        torch.testing.assert_close(channel, expected)


@pytest.mark.parametrize("shape", [(20, 80), (80, 20)])
def test_the_whole_picture_is_seen_whatever_its_shape(shape: tuple[int, int]) -> None:
    halves = np.zeros((*shape, 3), np.uint8)
    halves[:, shape[1] // 2 :] = 255
    bright = to_clip_pixels(halves, 28) > 0
    assert not bright[:, :, :13].any()
    assert bright[:, :, 15:].all()


# --- the features ---


def test_features_are_one_vector_in_float32_whatever_the_encoders_precision() -> None:
    encoder, drawn = tiny_image_encoder(), picture(40, 30)
    found = encode_image(encoder, drawn)
    assert found.shape == (EMBED_DIM,)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    rounded = encode_image(encoder.bfloat16(), drawn)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, found, rtol=0, atol=0.1)


def test_the_projection_is_not_normalised() -> None:
    encoder, drawn = tiny_image_encoder(), picture(40, 30)
    once = encode_image(encoder, drawn)
    with torch.no_grad():
        encoder.visual_projection.weight *= 3
    torch.testing.assert_close(encode_image(encoder, drawn), 3 * once)


# --- in a model ---


def test_conditions_hold_the_features_of_photo_and_face(pictures: dict[str, Any]) -> None:
    pipeline = tiny_clip_pipeline()
    conditions = pipeline.encode(**pictures)
    assert conditions.image_embeds is not None
    assert conditions.face_embeds is not None
    encoder = pipeline.image_encoder
    assert conditions.image_embeds[0].equal(encode_image(encoder, pictures["photo"]))
    assert conditions.face_embeds[0].equal(encode_image(encoder, pictures["face"]))
    del pictures["photo"], pictures["face"]
    conditions = pipeline.encode(**pictures)
    assert conditions.image_embeds is not None
    assert conditions.image_embeds[0].equal(encode_image(encoder, pictures["image"]))
    assert conditions.face_embeds is None


def test_a_network_that_reads_features_is_refused_clips_without_them(
    pictures: dict[str, Any],
) -> None:
    pipeline = tiny_clip_pipeline()
    blind = replace(pipeline.encode(**pictures), image_embeds=None)
    with pytest.raises(InputError, match="must have image_embeds") as refusal:
        pipeline.denoise(blind, SamplingOptions(2))
    assert "dancelcm preprocess" in refusal.value.hint


@pytest.mark.parametrize("changed", ["photo", "face"])
def test_the_animation_depends_on_what_clip_sees(pictures: dict[str, Any], changed: str) -> None:
    pipeline = tiny_clip_pipeline()
    before = pipeline(**pictures, num_inference_steps=2)
    other = pictures | {changed: picture(*pictures[changed].shape[:2], seed=1)}
    after = pipeline(**other, num_inference_steps=2)
    assert before.frames.shape == (3, 16, 8, 3)
    assert (before.latents - after.latents).abs().max() > 1e-4


def test_an_encoder_that_was_saved_in_half_precision_loads_in_full(tmp_path: Path) -> None:
    saved = tiny_clip_pipeline()
    saved.image_encoder.half()
    saved.save_pretrained(tmp_path)
    loaded = load_pipeline(tmp_path).image_encoder
    tensors = loaded.state_dict()
    for name, tensor in saved.image_encoder.state_dict().items():
        assert tensors[name].equal(tensor.float()), name
    assert loaded.dtype == torch.float32
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_model_with_an_encoder_that_is_saved_again_does_not_tell_from_where(
    tmp_path: Path,
) -> None:
    tiny_clip_pipeline().save_pretrained(tmp_path / "first")
    load_pipeline(tmp_path / "first").save_pretrained(tmp_path / "second")
    configs = list((tmp_path / "second").rglob("*.json"))
    assert any(path.parent.name == "image_encoder" for path in configs)
    assert not any(str(tmp_path) in path.read_text() for path in configs)


def test_a_network_that_reads_features_is_refused_without_an_encoder(
    pictures: dict[str, Any], tmp_path: Path
) -> None:
    tiny_clip_pipeline().save_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "image_encoder")
    assert load_image_encoder(tmp_path) is None
    with pytest.raises(WeightsMissingError, match="must have an image encoder") as refusal:
        load_pipeline(tmp_path)(**pictures)
    assert "dancelcm models convert" in refusal.value.hint
