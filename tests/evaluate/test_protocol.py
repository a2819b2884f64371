from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from dancelcm_cli.config.schema import EvaluateConfig
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.evaluate.candidates import show_predictions, true_frames
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.metrics import BEYOND_THE_PAPERS
from dancelcm_cli.evaluate.protocol import (
    DISCO_256,
    TEXTBOOK,
    Protocol,
    Region,
    make_protocol,
    prediction_region,
    resize_region,
    truth_region,
)
from dancelcm_cli.evaluate.sources import list_sources

SQUASH = replace(DISCO_256, geometry="squash")


def random_frame(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(384, 256), (301, 540), (300, 300), (100, 57)])
def test_truth_goes_through_the_crop_and_resize_of_disco(size: tuple[int, int]) -> None:
    frame = random_frame(*size)
    disco = RandomResizedCrop(256, (1, 1), (1, 1), InterpolationMode.BILINEAR)
    expected = np.asarray(disco(Image.fromarray(frame)))
    assert np.array_equal(resize_region(DISCO_256, frame, truth_region(DISCO_256, *size)), expected)


def test_frames_of_the_protocols_size_are_left_as_they_are() -> None:
    frame = random_frame(256, 256)
    for protocol in (DISCO_256, SQUASH):
        region = truth_region(protocol, 256, 256)
        assert np.array_equal(resize_region(protocol, frame, region), frame)


def test_squash_compares_all_of_the_frame() -> None:
    assert truth_region(SQUASH, 384, 256) == Region(0, 0, 256, 384)


@pytest.mark.parametrize("protocol", [DISCO_256, SQUASH])
def test_a_prediction_of_the_truths_size_is_cut_like_the_truth(protocol: Protocol) -> None:
    for size in ((384, 256), (301, 540), (300, 300)):
        assert prediction_region(protocol, *size, *size) == truth_region(protocol, *size)


def test_a_prediction_at_another_size_shows_the_same_part_of_the_scene() -> None:
    assert truth_region(DISCO_256, 384, 256) == Region(0, 64, 256, 320)
    assert prediction_region(DISCO_256, 192, 128, 384, 256) == Region(0, 32, 128, 160)
    squeezed = prediction_region(DISCO_256, 768, 512, 1080, 604)
    assert squeezed == pytest.approx((0, 238 * 768 / 1080, 512, 842 * 768 / 1080))


def test_a_square_prediction_is_taken_for_the_cropped_square_unless_told_otherwise() -> None:
    assert prediction_region(DISCO_256, 256, 256, 1080, 604) == Region(0, 0, 256, 256)
    whole = replace(DISCO_256, prediction_view="source")
    assert prediction_region(whole, 256, 256, 384, 256).top > 0
    cropped = replace(DISCO_256, prediction_view="cropped")
    assert prediction_region(cropped, 768, 512, 1080, 604) == Region(0, 0, 512, 768)


def test_what_lies_outside_a_region_does_not_leak_into_it() -> None:
    frame = np.zeros((384, 256, 3), np.uint8)
    frame[:64] = frame[320:] = 255
    assert resize_region(DISCO_256, frame, truth_region(DISCO_256, 384, 256)).max() == 0


def test_a_recipe_chooses_preset_size_and_geometry() -> None:
    disco = EvaluateConfig(beyond=False)
    assert make_protocol(disco, "square-crop") == DISCO_256
    assert make_protocol(disco, "squash") == SQUASH
    assert make_protocol(replace(disco, protocol="textbook"), "square-crop") == TEXTBOOK
    chosen = make_protocol(EvaluateConfig(height=64, width=32, geometry="square-crop"), "squash")
    assert (chosen.height, chosen.width, chosen.geometry) == (64, 32, "square-crop")


def test_a_recipe_chooses_metrics_and_the_switches_of_lpips_and_fvd() -> None:
    config = EvaluateConfig(
        metrics=("fvd", "l1"),
        lpips_range="signed",
        fvd_stride=16,
        fvd_resize="bilinear",
        fvd_codec="h264",
    )
    assert make_protocol(config, "square-crop") == replace(
        DISCO_256,
        metrics=("fvd", "l1"),
        lpips_range="signed",
        fvd_stride=16,
        fvd_resize="bilinear",
        fvd_codec="h264",
    )
    assert (DISCO_256.lpips_range, TEXTBOOK.lpips_range) == ("unit", "signed")


def test_what_papers_do_not_measure_comes_after_what_they_do() -> None:
    metrics = make_protocol(EvaluateConfig(beyond=True, pose=True), "squash").metrics
    assert metrics[: len(DISCO_256.metrics)] == DISCO_256.metrics
    assert set(metrics[len(DISCO_256.metrics) :]) == set(BEYOND_THE_PAPERS)
    named = EvaluateConfig(metrics=("mae", "pck"), beyond=True, pose=True)
    assert make_protocol(named, "squash").metrics == ("mae", "pck", "akd")


@pytest.mark.parametrize("side", [16, 24])
def test_square_predictions_of_whole_frames_are_compared_where_they_show_the_truth(
    side: int, tmp_path: Path, write_videos: Callable[..., Path]
) -> None:
    (source,) = list_sources(write_videos(tmp_path / "truth", [2])).values()
    video = TestVideo("dance0", source, source.path)
    shown = tmp_path / "made" / "dance0"
    shown.mkdir(parents=True)
    for index, frame in enumerate(source.frames(range(2))):
        Image.fromarray(fit_frame(frame, side, side, "squash")).save(shown / f"{index}.png")
    protocol = replace(DISCO_256, height=16, width=16)
    truth = np.stack(list(true_frames(video, protocol))).astype(int)
    errors = [
        np.abs(np.stack(list(made.frames(video, protocol))) - truth).mean()
        for whole in (True, False)
        for made in [show_predictions("made", "", list_sources(tmp_path / "made"), whole)]
    ]
    assert errors[0] < errors[1] / 2
