"""What a reader has to know of each metric's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dancelcm_cli.config.schema import MetricName

FACE_METRICS: tuple[MetricName, ...] = (
    "face_found", "face_psnr", "face_lpips", "face_similarity",
)  # fmt: skip
MOTION_METRICS: tuple[MetricName, ...] = (
    "sharpness_moving", "sharpness_still", "flicker", "warp_error",
)  # fmt: skip
POSE_METRICS: tuple[MetricName, ...] = ("akd", "pck")
BEYOND_THE_PAPERS = (*FACE_METRICS, *MOTION_METRICS, *POSE_METRICS)


@dataclass(frozen=True)
class Metric:
    """A column of the table.

    `ideal` is the truth's own value where more is as bad as less.
    """

    name: MetricName
    label: str
    definition: str
    higher_is_better: bool
    digits: str  # format specification of a value
    ideal: float | None = None

    @property
    def heading(self) -> str:
        """The label with an arrow that points to better values."""
        if self.ideal is not None:
            return f"{self.label} →{self.ideal:g}"
        return f"{self.label} {'↑' if self.higher_is_better else '↓'}"

    def badness(self, value: float) -> float:
        """Return a number that is the higher the worse `value` is."""
        if self.ideal is not None:
            return abs(value - self.ideal)
        return -value if self.higher_is_better else value


METRICS = (
    Metric("l1", "L1", "mean absolute difference (0 to 255) / (H W)", False, ".2E"),
    Metric("psnr", "PSNR", "dB; mean over frames, 100 for equal frames", True, ".2f"),
    Metric("ssim", "SSIM", "8-bit grey, uniform 7 x 7 window (DisCo)", True, ".3f"),
    Metric("lpips", "LPIPS", "VGG16 with the heads of version 0.1, `lpips_range`", False, ".3f"),
    Metric(
        "fvd",
        "FVD",
        "Fréchet distance of I3D-Kinetics-400 logits over all clips of 16 frames, `fvd_stride`,"
        " `fvd_resize`, `fvd_codec`",
        False,
        ".2f",
    ),
    Metric("mae", "MAE", "mean absolute difference (0 to 255)", False, ".2f"),
    Metric(
        "ssim_gaussian",
        "SSIM Gaussian",
        "8-bit grey, Gaussian 11 x 11 window (Wang et al.)",
        True,
        ".3f",
    ),
    Metric(
        "psnr_uint8_overflow",
        "PSNR uint8 overflow",
        "dB; DisCo's first version, whose 8-bit differences wrap around: only to be set beside"
        " tables from before April 2024",
        True,
        ".2f",
    ),
    Metric(
        "face_found",
        "face found",
        "share of the frames whose true face MTCNN finds (small frames enlarged twice) where it"
        " finds one in the same place",
        True,
        ".3f",
    ),
    Metric("face_psnr", "face PSNR", "dB; in the true face's box, at 160 x 160", True, ".2f"),
    Metric("face_lpips", "face LPIPS", "in the true face's box, at 160 x 160", False, ".3f"),
    Metric(
        "face_similarity",
        "face similarity",
        "cosine of facenet-pytorch's embeddings (VGGFace2) of shown and true face, where both are"
        " found; papers that use ArcFace have other numbers",
        True,
        ".3f",
    ),
    Metric(
        "sharpness_moving",
        "sharpness, moving",
        "mean |Laplacian| over that of the truth, where the truth moves",
        True,
        ".3f",
        ideal=1.0,
    ),
    Metric(
        "sharpness_still",
        "sharpness, still",
        "mean |Laplacian| over that of the truth, where the truth stands still",
        True,
        ".3f",
        ideal=1.0,
    ),
    Metric(
        "flicker",
        "flicker",
        "mean change (grey levels) from frame to frame where the truth stands still",
        False,
        ".2f",
    ),
    Metric(
        "warp_error",
        "warp error",
        "mean difference of a frame to the one before, moved along the truth's optical flow (DIS),"
        " over that of the truth",
        False,
        ".2f",
    ),
    Metric(
        "akd",
        "AKD",
        "mean distance of the body points that BlazePose finds in shown and true frame; pixels of"
        " a frame whose longer side is 256",
        False,
        ".2f",
    ),
    Metric(
        "pck",
        "PCK@0.2",
        "share of the true frame's body points that are found within 0.2 of the torso's length",
        True,
        ".3f",
    ),
)


def select_metrics(names: Sequence[MetricName]) -> tuple[Metric, ...]:
    """Return the metrics called `names`, in that order."""
    by_name = {metric.name: metric for metric in METRICS}
    return tuple(by_name[name] for name in names)
