"""The rows of the paper's tables 1 and 2 (DanceLCM, arXiv 2504.11143), to be set beside ours.

Rows of diffusion models are copied there from their own papers; the others were measured by its
authors. A PSNR that was computed with 8-bit numbers wrapping around is left out, as it is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from dancelcm_cli.config.schema import MetricName


@dataclass(frozen=True)
class PaperRow:
    """A method, its number of network steps (None where the paper gives none) and its numbers."""

    method: str
    steps: int | None
    values: dict[MetricName, float]

    @property
    def name(self) -> str:
        """What the row is called beside ours."""
        steps = "" if self.steps is None else f", {self.steps} steps"
        return f"{self.method}{steps} (paper)"


def _tiktok(
    method: str,
    steps: int,
    l1: float | None,
    psnr: float | None,
    ssim: float,
    lpips: float,
    fvd: float,
) -> PaperRow:
    return PaperRow(method, steps, _known(l1, psnr, ssim, lpips, fvd))


def _ubc(method: str, psnr: float | None, ssim: float, lpips: float, fvd: float) -> PaperRow:
    return PaperRow(method, None, _known(None, psnr, ssim, lpips, fvd))


def _known(*values: float | None) -> dict[MetricName, float]:
    names: tuple[MetricName, ...] = ("l1", "psnr", "ssim", "lpips", "fvd")
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


PAPER_ROWS: dict[str, tuple[PaperRow, ...]] = {
    "tiktok": (
        _tiktok("DreamPose", 100, 6.88e-4, 12.82, 0.511, 0.442, 551.02),
        _tiktok("DisCo", 50, 3.78e-4, 16.55, 0.668, 0.292, 292.80),
        _tiktok("MagicAnimate", 25, 3.13e-4, None, 0.714, 0.239, 179.07),
        _tiktok("Animate Anyone", 20, None, None, 0.718, 0.285, 171.90),
        _tiktok("Champ", 20, 2.94e-4, None, 0.802, 0.234, 160.82),
        _tiktok("UniAnimate", 50, 2.66e-4, 20.58, 0.811, 0.231, 148.06),
        _tiktok("VideoLCM", 4, 2.85e-4, 18.98, 0.789, 0.241, 196.21),
        _tiktok("PeRFlow", 4, 2.59e-4, 19.76, 0.802, 0.236, 188.43),
        _tiktok("MultiStep CM", 4, 2.70e-4, 19.39, 0.802, 0.231, 187.59),
        _tiktok("DanceLCM", 4, 2.52e-4, 20.12, 0.812, 0.225, 156.27),
    ),
    "ubc": (
        _ubc("DreamPose", None, 0.885, 0.068, 238.7),
        _ubc("DreamPose without finetuning", None, 0.879, 0.111, 279.6),
        _ubc("Animate Anyone", None, 0.931, 0.044, 81.6),
        _ubc("UniAnimate", 27.56, 0.940, 0.031, 68.1),
        _ubc("VideoLCM", 24.65, 0.914, 0.058, 115.1),
        _ubc("PeRFlow", 26.28, 0.922, 0.044, 89.7),
        _ubc("MultiStep CM", 25.81, 0.929, 0.047, 88.0),
        _ubc("DanceLCM", 27.54, 0.938, 0.031, 67.2),
    ),
}
