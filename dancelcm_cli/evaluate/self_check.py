"""Whether this machine measures what others have published: known inputs, known answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dancelcm_cli.config.schema import LpipsRange
from dancelcm_cli.data.atomic import write_json_atomic
from dancelcm_cli.errors import PartialFailureError, WeightsMissingError
from dancelcm_cli.evaluate.frame_metrics import l1_disco, psnr, psnr_uint8_overflow, ssim_disco
from dancelcm_cli.evaluate.frechet import frechet_distance
from dancelcm_cli.evaluate.i3d import CLIP_LENGTH, SIDE
from dancelcm_cli.evaluate.networks import open_i3d, open_lpips
from dancelcm_cli.evaluate.perceptual import PerceptualMeter
from dancelcm_cli.evaluate.precision import exact_float32
from dancelcm_cli.evaluate.protocol import Frame
from dancelcm_cli.progress import Progress


@dataclass(frozen=True)
class Check:
    """A known answer and what came out here: None where `reason` kept it from running."""

    name: str
    expected: float
    tolerance: float
    found: float | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """Whether the answers agree: "ok", "differs" or "skipped"."""
        if self.found is None:
            return "skipped"
        return "ok" if abs(self.found - self.expected) <= self.tolerance else "differs"


CHECK_COLUMNS = ("self-check", "expected", "tolerance", "found", "")

# Scores of the pair of `ramps` by DisCo's script, of LPIPS by the lpips package.
L1_OF_RAMPS = Check("L1 of two ramps", 5.063624121e-4, 1e-12)
PSNR_OF_RAMPS = Check("PSNR of two ramps", 11.549656, 1e-5)
OVERFLOW_OF_RAMPS = Check("PSNR uint8 overflow of two ramps", 32.669492, 1e-5)
SSIM_OF_RAMPS = Check("SSIM of two ramps", 0.980120, 1e-5)
UNIT_LPIPS_OF_RAMPS = Check("LPIPS of two ramps, range unit", 0.255537, 1e-4)
SIGNED_LPIPS_OF_RAMPS = Check("LPIPS of two ramps, range signed", 0.408122, 1e-4)
# (1 - 3)^2 + (2 - 4)^2 for the deviations along two axes, and 1 for the shift along each.
FRECHET_OF_CROSSES = Check("Fréchet distance of two crosses", 10.0, 1e-9)
# TensorFlow's value (README of JunyaoHu/common_metrics_on_video_quality), and what the published
# weights give in JAX.
FVD_OF_30_FRAMES = Check("FVD of 30 black and 30 white frames", 151.39244, 1e-3)
FVD_OF_16_FRAMES = Check("FVD of 16 black and 16 white frames", 152.9015, 2e-3)


def run_self_check(device: torch.device, folder: Path, progress: Progress) -> tuple[Check, ...]:
    """Return all checks with what came out on `device`, and keep them in `folder`/self_check.json.

    Without weights some cannot run.
    """
    pair = ramps()
    oracles: list[tuple[Check, Callable[[], float]]] = [
        (L1_OF_RAMPS, lambda: l1_disco(*pair)),
        (PSNR_OF_RAMPS, lambda: psnr(*pair)),
        (OVERFLOW_OF_RAMPS, lambda: psnr_uint8_overflow(*pair)),
        (SSIM_OF_RAMPS, lambda: ssim_disco(*pair)),
        (UNIT_LPIPS_OF_RAMPS, lambda: _lpips_of_ramps("unit", device)),
        (SIGNED_LPIPS_OF_RAMPS, lambda: _lpips_of_ramps("signed", device)),
        (FRECHET_OF_CROSSES, lambda: frechet_distance(cross((1, 4)), cross((9, 16), shift=1))),
        (FVD_OF_30_FRAMES, lambda: _fvd_of_black_and_white(30, device)),
        (FVD_OF_16_FRAMES, lambda: _fvd_of_black_and_white(CLIP_LENGTH, device)),
    ]
    tracked = progress.track(oracles, "Checking metrics", len(oracles))
    checks = tuple(_run(check, measure) for check, measure in tracked)
    write_json_atomic(folder / "self_check.json", [asdict(check) for check in checks])
    return checks


def require_agreement(checks: Sequence[Check]) -> None:
    """Stop where one of `checks` came out differently.

    Raises:
        PartialFailureError: One did.
    """
    differing = [check.name for check in checks if check.verdict == "differs"]
    if differing:
        raise PartialFailureError(
            f"All {len(checks)} checks must give the published numbers, but {len(differing)}"
            f" differ: {', '.join(differing)}.",
            hint="Do not trust this machine's numbers; try `--device cpu` and other versions of"
            " torch.",
        )


def check_table(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """Return a line of cells, under `CHECK_COLUMNS`, for each of `checks`."""
    return [
        (
            check.name,
            f"{check.expected:.7g}",
            f"{check.tolerance:.0e}",
            "" if check.found is None else f"{check.found:.7g}",
            check.verdict,
        )
        for check in checks
    ]


def ramps(side: int = 256) -> tuple[Frame, Frame]:
    """Return two smooth pictures (H, W, 3) that anybody can make again, equal but in their blue."""
    y, x = np.mgrid[:side, :side]
    first = np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)
    second = np.stack([x, y, side - 1 - x], axis=-1).astype(np.uint8)
    return first, second


def cross(variances: Sequence[float], shift: float = 0.0) -> NDArray[np.float64]:
    """Return points (N, D) with mean `shift` and these unbiased variances along the axes."""
    count = 2 * len(variances)
    arms = np.diag(np.sqrt(np.array(variances, dtype=np.float64) * (count - 1) / 2))
    return np.concatenate([arms, -arms]) + shift


def _lpips_of_ramps(input_range: LpipsRange, device: torch.device) -> float:
    first, second = ramps()
    ((distance,),) = PerceptualMeter(open_lpips(device), input_range).compare([first], [[second]])
    return distance


@torch.inference_mode()
def _fvd_of_black_and_white(num_frames: int, device: torch.device) -> float:
    network, _ = open_i3d("", device)
    with exact_float32():
        black, white = (
            network(torch.full((1, 3, num_frames, SIDE, SIDE), level, device=device)).cpu().numpy()
            for level in (-1.0, 1.0)
        )
    return frechet_distance(black, white)


def _run(check: Check, measure: Callable[[], float]) -> Check:
    try:
        return replace(check, found=measure())
    except WeightsMissingError as error:
        return replace(check, reason=f"{error.message} {error.hint}")
