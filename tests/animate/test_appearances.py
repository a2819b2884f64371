from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dancelcm_cli.animate import appearances
from dancelcm_cli.animate.appearances import Appearances
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.vae import Frames
from tests.core.tiny_clip import tiny_clip_pipeline


def picture(height: int, width: int, seed: int) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


IMAGE, FACE, PHOTO = picture(16, 8, 0), picture(16, 16, 1), picture(60, 40, 2)


@pytest.fixture
def pipeline() -> DancePipeline:
    return tiny_clip_pipeline()


@pytest.fixture
def seen(pipeline: DancePipeline) -> list[object]:
    """What the image encoder was shown."""
    calls: list[object] = []
    pipeline.image_encoder.register_forward_hook(lambda *given: calls.append(given))
    return calls


@pytest.mark.parametrize("face", [None, FACE])
def test_a_photo_is_what_the_pipeline_makes_of_it(
    pipeline: DancePipeline, face: Frames | None
) -> None:
    made = Appearances(pipeline).of(IMAGE, face, PHOTO)
    wanted = pipeline.encode_appearance(IMAGE, face, PHOTO)
    for name, value in vars(wanted).items():
        kept = getattr(made, name)
        assert (kept is None) == (value is None)
        assert value is None or kept.equal(value)


def test_a_photo_is_encoded_once_whatever_array_it_comes_in(
    pipeline: DancePipeline, seen: list[object]
) -> None:
    kept = Appearances(pipeline)
    first = kept.of(IMAGE, FACE, PHOTO)
    assert kept.of(IMAGE.copy(), np.asfortranarray(FACE), PHOTO.copy()) is first
    assert len(seen) == 2  # the photo and the face


def changed(picture: Frames) -> Frames:
    other = picture.copy()
    other[-1, -1, -1] ^= 1
    return other


@pytest.mark.parametrize(
    "others",
    [
        (changed(IMAGE), FACE, PHOTO),
        (IMAGE, changed(FACE), PHOTO),
        (IMAGE, None, PHOTO),
        (IMAGE, FACE, changed(PHOTO)),
        (IMAGE.reshape(8, 16, 3), FACE, PHOTO),
    ],
)
def test_another_picture_is_another_photo(pipeline: DancePipeline, others: Any) -> None:
    kept = Appearances(pipeline)
    assert kept.of(IMAGE, FACE, PHOTO) is not kept.of(*others)


def test_without_an_image_encoder_the_photo_before_its_fitting_does_not_count(model: Path) -> None:
    kept = Appearances(load_pipeline(model))
    image = picture(64, 64, 3)
    assert kept.of(image, None, PHOTO) is kept.of(image, None, changed(PHOTO))


def test_the_first_photo_is_the_first_to_go(
    pipeline: DancePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appearances, "MOST_KEPT", 2)
    kept = Appearances(pipeline)
    photos = [picture(16, 8, seed) for seed in range(3)]
    made = [kept.of(photo, None, photo) for photo in photos]
    assert kept.of(photos[1], None, photos[1]) is made[1]
    assert kept.of(photos[2], None, photos[2]) is made[2]
    assert kept.of(photos[0], None, photos[0]) is not made[0]
