from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
import torchmetrics.functional.image
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from skimage.metrics import peak_signal_noise_ratio

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.evaluate.frame_metrics import (
    FRAME_MEASURES,
    grey,
    l1_disco,
    mae,
    psnr,
    psnr_uint8_overflow,
    ssim_disco,
    ssim_gaussian,
)
from dancelcm_cli.evaluate.metrics import select_metrics
from dancelcm_cli.evaluate.self_check import ramps

Frame = NDArray[np.uint8]


def random_frame(seed: int, size: int = 64) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def blurred(frame: Frame, radius: float) -> Frame:
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))


def shared_window_ssim(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """SSIM of two 7 x 7 windows, from the formula of Wang et al. (2004, eq. 13)."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    covariance = np.cov(first.ravel(), second.ravel(), ddof=1)
    means = first.mean(), second.mean()
    luminance = (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
    return float(luminance * (2 * covariance[0, 1] + c2) / (np.trace(covariance) + c2))


def test_deterministic_pair_scores_what_disco_gives_it() -> None:
    assert l1_disco(*ramps()) == pytest.approx(5.063624121e-4, rel=1e-9)
    assert psnr(*ramps()) == pytest.approx(11.549656, abs=1e-6)
    assert psnr_uint8_overflow(*ramps()) == pytest.approx(32.669492, abs=1e-6)
    assert ssim_disco(*ramps()) == pytest.approx(0.980120, abs=1e-6)


@given(offset=st.integers(1, 100))
def test_constant_offset_has_the_closed_form(offset: int) -> None:
    truth = random_frame(0) // 2
    shifted = truth + np.uint8(offset)
    for pair in ((shifted, truth), (truth, shifted)):
        assert mae(*pair) == offset
        assert l1_disco(*pair) == pytest.approx(offset / 64**2)
        assert psnr(*pair) == pytest.approx(20 * np.log10(255 / offset))


def test_differences_of_eight_bit_numbers_do_not_wrap_around() -> None:
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    assert mae(black, white) == mae(white, black) == 255
    assert psnr(black, white) == psnr(white, black) == 0


@pytest.mark.parametrize(
    ("metric", "perfect"),
    [(l1_disco, 0), (mae, 0), (psnr, 100), (ssim_disco, 1), (ssim_gaussian, 1)],
)
def test_truth_against_itself_is_perfect(
    metric: Callable[[Frame, Frame], float], perfect: float
) -> None:
    assert metric(random_frame(1), random_frame(1)) == pytest.approx(perfect, abs=1e-12)


@pytest.mark.parametrize("name", ["l1", "mae", "psnr", "ssim", "ssim_gaussian"])
def test_each_step_of_blur_is_worse_than_the_last(name: MetricName) -> None:
    truth = blurred(random_frame(2), 1)
    scores = [FRAME_MEASURES[name](blurred(truth, radius), truth) for radius in (0, 0.5, 1, 2, 4)]
    (metric,) = select_metrics([name])
    assert scores == sorted(scores, reverse=metric.higher_is_better)
    assert len(set(scores)) == len(scores)


def test_psnr_that_overflows_hardly_sees_what_is_compared() -> None:
    truth = random_frame(2, size=256)
    for radius in (1, 2, 8, 64):
        assert psnr_uint8_overflow(blurred(truth, radius), truth) == pytest.approx(28.5, abs=1.5)


def test_psnr_is_that_of_scikit_image_and_of_torchmetrics() -> None:
    truth, prediction = random_frame(3), random_frame(4)
    assert psnr(prediction, truth) == pytest.approx(peak_signal_noise_ratio(truth, prediction))
    tensors = (torch.from_numpy(frame).double() for frame in (prediction, truth))
    found = torchmetrics.functional.image.peak_signal_noise_ratio(*tensors, data_range=255.0)
    assert psnr(prediction, truth) == pytest.approx(float(found), abs=1e-4)


def test_ssim_is_the_mean_over_seven_by_seven_windows() -> None:
    first, second = random_frame(5, size=12), random_frame(6, size=12)
    a, b = grey(first).astype(np.float64), grey(second).astype(np.float64)
    windows = [np.s_[y : y + 7, x : x + 7] for y in range(6) for x in range(6)]
    expected = np.mean([shared_window_ssim(a[window], b[window]) for window in windows])
    assert ssim_disco(first, second) == pytest.approx(expected, abs=1e-12)


def test_gaussian_ssim_differs_from_that_of_disco() -> None:
    noisy = random_frame(7)
    assert (
        abs(ssim_gaussian(noisy, blurred(noisy, 1)) - ssim_disco(noisy, blurred(noisy, 1))) > 0.01
    )


def test_grey_is_opencvs_for_every_colour_of_a_grid() -> None:
    levels = np.arange(0, 256, 3, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(86, -1, 3)
    bgr = np.ascontiguousarray(colours[..., ::-1])
    assert np.array_equal(grey(colours), cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
