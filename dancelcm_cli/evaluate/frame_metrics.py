"""Scores of one frame against its ground truth.

The definitions are those of DisCo (`tool/metrics/ssim_l1_lpips_psnr.py` of Wangt-CN/DisCo, after
its PSNR fix of April 2024), which the papers on human image animation report, and beside them the
textbook's where the two differ. All take two uint8 RGB frames (H, W, 3) of one size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from dancelcm_cli.evaluate.protocol import MetricName

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
    mean_squared_error = float(np.square(_difference(prediction, truth)).mean())
    if mean_squared_error == 0.0:
        return PSNR_OF_EQUAL_FRAMES
    return float(10.0 * np.log10(255.0**2 / mean_squared_error))


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


def _difference(prediction: Frame, truth: Frame) -> NDArray[np.float64]:
    return prediction.astype(np.float64) - truth.astype(np.float64)


@dataclass(frozen=True)
class FrameMetric:
    """A score of single frames, with what a reader has to know of its numbers."""

    name: MetricName
    label: str
    definition: str
    higher_is_better: bool
    digits: str  # format specification of a value
    measure: Callable[[Frame, Frame], float]

    @property
    def heading(self) -> str:
        """The label with an arrow that points to better values."""
        return f"{self.label} {'↑' if self.higher_is_better else '↓'}"


FRAME_METRICS = (
    FrameMetric("l1", "L1", "mean absolute difference (0 to 255) / (H W)", False, ".2E", l1_disco),
    FrameMetric("psnr", "PSNR", "dB; mean over frames, 100 for equal frames", True, ".2f", psnr),
    FrameMetric(
        "ssim", "SSIM", "8-bit grey, uniform 7 x 7 window (DisCo)", True, ".3f", ssim_disco
    ),
    FrameMetric("mae", "MAE", "mean absolute difference (0 to 255)", False, ".2f", mae),
    FrameMetric(
        "ssim_gaussian",
        "SSIM Gaussian",
        "8-bit grey, Gaussian 11 x 11 window (Wang et al.)",
        True,
        ".3f",
        ssim_gaussian,
    ),
)


def select_metrics(names: tuple[MetricName, ...]) -> tuple[FrameMetric, ...]:
    """Return the metrics called `names`, in that order."""
    by_name = {metric.name: metric for metric in FRAME_METRICS}
    return tuple(by_name[name] for name in names)
