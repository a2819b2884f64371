"""Scores of one frame against its ground truth.

The definitions are those of DisCo (`tool/metrics/ssim_l1_lpips_psnr.py` of Wangt-CN/DisCo, after
its PSNR fix of April 2024), which the papers on human image animation report, and beside them the
textbook's where the two differ. All take two uint8 RGB frames (H, W, 3) of one size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from dancelcm_cli.config.schema import MetricName

Frame = NDArray[np.uint8]

PSNR_OF_EQUAL_FRAMES = 100.0  # dB; DisCo's stand-in for infinity

_structural_similarity: Callable[..., Any] = structural_similarity  # it has no annotations

# OpenCV's weights of red, green and blue in a grey value (Rec. 601), in 15-bit fixed point.
_GREY_WEIGHTS = np.array([9798, 19235, 3735], dtype=np.int32)
_GREY_BITS = 15


def mae(prediction: Frame, truth: Frame) -> float:
    """Return the mean absolute difference over pixels and channels, in grey levels of 0 to 255."""
    return float(np.abs(_difference(prediction, truth)).mean())


def l1_disco(prediction: Frame, truth: Frame) -> float:
    """Return DisCo's L1: `mae` divided once more by the number of pixels.

    It depends on the size of the frames: only values taken at one size can be compared.
    """
    return mae(prediction, truth) / truth[..., 0].size


def psnr(prediction: Frame, truth: Frame) -> float:
    """Return the peak signal-to-noise ratio in dB, 100 for equal frames.

    It is the "modified PSNR" of the papers: DisCo's first version let 8-bit numbers wrap around.
    """
    return _decibels(float(np.square(_difference(prediction, truth)).mean()))


def psnr_uint8_overflow(prediction: Frame, truth: Frame) -> float:
    """Return what DisCo called PSNR before April 2024: differences and squares wrap around at 256.

    It is about 28 to 31 dB whatever is compared.
    """
    return _decibels(float(np.square(prediction - truth).mean()))


def ssim_disco(prediction: Frame, truth: Frame) -> float:
    """Return DisCo's structural similarity: on grey frames, with a uniform 7 x 7 window.

    Variances are those of a sample, and the border of three pixels is left out.
    """
    score = _structural_similarity(grey(prediction), grey(truth), data_range=255)
    return float(score)


def ssim_gaussian(prediction: Frame, truth: Frame) -> float:
    """Return the structural similarity as Wang et al. (2004) define it, on grey frames."""
    score = _structural_similarity(
        grey(prediction),
        grey(truth),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(score)


def grey(frame: Frame) -> Frame:
    """Return the 8-bit grey picture (H, W) that OpenCV's `BGR2GRAY` makes of the same colours."""
    weighted = frame.astype(np.int32) @ _GREY_WEIGHTS
    return ((weighted + (1 << (_GREY_BITS - 1))) >> _GREY_BITS).astype(np.uint8)


def _decibels(mean_squared_error: float) -> float:
    if mean_squared_error == 0.0:
        return PSNR_OF_EQUAL_FRAMES
    return float(10.0 * np.log10(255.0**2 / mean_squared_error))


def _difference(prediction: Frame, truth: Frame) -> NDArray[np.float64]:
    return prediction.astype(np.float64) - truth.astype(np.float64)


FRAME_MEASURES: dict[MetricName, Callable[[Frame, Frame], float]] = {
    "l1": l1_disco,
    "psnr": psnr,
    "ssim": ssim_disco,
    "mae": mae,
    "ssim_gaussian": ssim_gaussian,
    "psnr_uint8_overflow": psnr_uint8_overflow,
}
