"""How a frame of any size is brought to the network's size, and its keypoints with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.config.schema import Fit


@dataclass(frozen=True)
class _Placement:
    """The part of the source that is used and the part of the target that it fills."""

    taken: tuple[float, float, float, float]  # left, top, width, height in source pixels
    filled: tuple[int, int, int, int]  # left, top, width, height in target pixels


def fit_frame(frame: NDArray[np.uint8], height: int, width: int, fit: Fit) -> NDArray[np.uint8]:
    """Resize one (H, W, 3) uint8 frame to (height, width, 3).

    `squash` stretches it, as UniAnimate does; `crop` keeps the aspect ratio and cuts off what
    sticks out, evenly on both sides; `pad` keeps all of it and fills the rest with black. The
    filter is Pillow's bilinear one, which averages over all pixels it shrinks together.
    """
    if frame.shape[:2] == (height, width):
        return frame
    placement = _place(frame.shape[0], frame.shape[1], height, width, fit)
    left, top, taken_width, taken_height = placement.taken
    x, y, filled_width, filled_height = placement.filled
    resized = Image.fromarray(frame).resize(
        (filled_width, filled_height),
        Image.Resampling.BILINEAR,
        box=(left, top, left + taken_width, top + taken_height),
    )
    target = np.zeros((height, width, 3), np.uint8)
    target[y : y + filled_height, x : x + filled_width] = np.asarray(resized)
    return target


def fit_keypoints(
    keypoints: NDArray[np.float32],
    source_size: tuple[int, int],
    size: tuple[int, int],
    fit: Fit,
) -> NDArray[np.float32]:
    """Move keypoints along with `fit_frame`.

    Args:
        keypoints: (..., 3): x, y in units of the source frame's width and height, and score.
        source_size: Height and width of the source frame, pixels.
        size: Height and width that the frame is fitted to, pixels.
        fit: As in `fit_frame`.

    Returns:
        (..., 3) in units of the fitted frame. Points that `crop` cuts off get the score 0.
    """
    placement = _place(*source_size, *size, fit)
    taken, filled = placement.taken, placement.filled
    fitted = keypoints.copy()
    for axis, (source, target) in enumerate(
        zip(reversed(source_size), reversed(size), strict=True)
    ):
        share = (keypoints[..., axis] * source - taken[axis]) / taken[axis + 2]
        fitted[..., axis] = (filled[axis] + share * filled[axis + 2]) / target
    if fit == "crop":
        inside = ((fitted[..., :2] >= 0) & (fitted[..., :2] <= 1)).all(axis=-1)
        fitted[..., 2] *= inside
    return fitted


def _place(source_height: int, source_width: int, height: int, width: int, fit: Fit) -> _Placement:
    whole_source = (0.0, 0.0, float(source_width), float(source_height))
    whole_target = (0, 0, width, height)
    if fit == "squash":
        return _Placement(whole_source, whole_target)
    if fit == "crop":
        scale = max(height / source_height, width / source_width)
        # Rounding errors must not reach over the edge: Pillow refuses such a box.
        taken_width = min(width / scale, source_width)
        taken_height = min(height / scale, source_height)
        left, top = (source_width - taken_width) / 2, (source_height - taken_height) / 2
        return _Placement((left, top, taken_width, taken_height), whole_target)
    scale = min(height / source_height, width / source_width)
    filled_width = max(1, round(source_width * scale))
    filled_height = max(1, round(source_height * scale))
    x, y = (width - filled_width) // 2, (height - filled_height) // 2
    return _Placement(whole_source, (x, y, filled_width, filled_height))
