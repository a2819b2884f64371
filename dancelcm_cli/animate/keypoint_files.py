"""Keypoints in a file of their own, so that a dance needs to be looked at only once.

keypoints  (F, 134, 3)  x and y in frame widths and heights, and score
size       (2,)         height and width of the frames, pixels
fps        ()           frames/s; may be missing
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.array_files import read_arrays
from dancelcm_cli.perception.keypoints import NUM_KEYPOINTS, tame_keypoints

SUFFIX = ".npz"
ARRAYS = "the arrays `keypoints` and `size`"
NAME_THE_VIDEO = "Name the video instead; keypoints in a file beside it are found."
LONGEST_SIDE = 65_536  # pixels of a frame
SLOWEST, FASTEST = 0.001, 10_000.0  # frames/s


@dataclass(frozen=True)
class SavedKeypoints:
    """What a keypoint file holds; the rate is None where it tells none."""

    keypoints: NDArray[np.float32]
    fps: Fraction | None
    size: tuple[int, int]


def write_keypoints(
    path: Path, keypoints: NDArray[np.float32], fps: Fraction, size: tuple[int, int]
) -> None:
    """Write keypoints `(F, 134, 3)` to the .npz file `path`, or nothing at all."""
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary, keypoints=keypoints, fps=np.float64(fps), size=np.array(size)
        )


def read_keypoints(path: Path) -> SavedKeypoints:
    """Return what `write_keypoints` wrote, or what somebody else wrote in the same form.

    Raises:
        InputError: the file holds anything else.
    """
    arrays = read_arrays(path, ARRAYS, NAME_THE_VIDEO)
    try:
        with np.errstate(over="ignore"):  # then it is infinite, and refused
            keypoints, size = arrays["keypoints"].astype(np.float32), arrays["size"]
        rate = float(arrays["fps"]) if "fps" in arrays else None
        height, width = (int(side) for side in size)
    except (LookupError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path} must hold {ARRAYS}, got: {error}", NAME_THE_VIDEO) from error
    shape, finite = keypoints.shape, np.isfinite(keypoints).all()
    if shape[1:] != (NUM_KEYPOINTS, 3) or len(shape) != 3 or shape[0] < 2 or not finite:
        found = "others" if not finite else shape
        raise InputError(
            f"`keypoints` of {path} must be finite numbers (F, {NUM_KEYPOINTS}, 3) of at least 2"
            f" frames, got {found}.",
            hint="Write the file with --save-keypoints.",
        )
    sides_fit = min(height, width) >= 1 and max(height, width) <= LONGEST_SIDE
    if not sides_fit or (rate is not None and not SLOWEST <= rate < FASTEST):
        raise InputError(
            f"`size` and `fps` of {path} must be positive, got {height} x {width} and {rate}.",
            hint="Write the file with --save-keypoints.",
        )
    fps = None if rate is None else Fraction(rate).limit_denominator(1001)
    return SavedKeypoints(tame_keypoints(keypoints), fps, (height, width))


def saved_fps(path: Path) -> float | None:
    """Return the rate that a keypoint file tells, or None.

    Raises:
        InputError: the file is damaged.
    """
    fps = read_arrays(path, ARRAYS, NAME_THE_VIDEO).get("fps")
    return float(fps) if fps is not None and fps.shape == () else None
