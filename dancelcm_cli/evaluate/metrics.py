"""What a reader has to know of each metric's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dancelcm_cli.config.schema import MetricName


@dataclass(frozen=True)
class Metric:
    """A column of the table."""

    name: MetricName
    label: str
    definition: str
    higher_is_better: bool
    digits: str  # format specification of a value

    @property
    def heading(self) -> str:
        """The label with an arrow that points to better values."""
        return f"{self.label} {'↑' if self.higher_is_better else '↓'}"


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
)


def select_metrics(names: Sequence[MetricName]) -> tuple[Metric, ...]:
    """Return the metrics called `names`, in that order."""
    by_name = {metric.name: metric for metric in METRICS}
    return tuple(by_name[name] for name in names)
