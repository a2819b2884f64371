"""Turned squares of a frame: what a network looks at, and how its points get back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Frame: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class Region:
    """A square of a frame, turned so that `up` points to its upper edge; lengths in pixels."""

    centre: Array  # (2,) x, y
    size: float  # of a side
    up: Array  # (2,) unit vector; (0, -1) for an upright square

    @classmethod
    def of_frame(cls, frame: Frame) -> Region:
        """Return the upright square about the whole of `frame` (H, W, 3)."""
        height, width = frame.shape[:2]
        return cls(
            np.array([width / 2, height / 2]), float(max(height, width)), np.array([0.0, -1.0])
        )

    @classmethod
    def around(cls, points: Array, up: Array, room: float) -> Region:
        """Return the square about the points (N, 2), turned along `up`, `room` times their size."""
        up = _unit(up)
        axes = _axes(up)
        places = points @ axes.T
        low, high = places.min(axis=0), places.max(axis=0)
        return cls((low + high) / 2 @ axes, max(room * float((high - low).max()), 1.0), up)

    @classmethod
    def about(cls, centre: Array, radius: Array, room: float) -> Region:
        """Return the square about a circle, `room` times its size; `radius` (2,) points upwards."""
        return cls(centre, max(2 * room * float(np.linalg.norm(radius)), 1.0), _unit(radius))

    def moved(self, upwards: float) -> Region:
        """Return the region moved up by a share of its size."""
        return Region(self.centre + self.up * (upwards * self.size), self.size, self.up)

    def cut(self, frame: Frame, side: int) -> Frame:
        """Return the region of `frame` as a picture (side, side, 3); black beyond the frame."""
        corners = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
        # Our places are measured from the corner of the first pixel, OpenCV's from its centre.
        target, source = corners * side - 0.5, self.to_frame(corners) - 0.5
        matrix = cv2.getAffineTransform(target, source.astype(np.float32))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(frame, matrix, (side, side), flags=flags), np.uint8)

    def to_frame(self, points: Array) -> Array:
        """Return points (..., 2), 0 to 1 across the region, in pixels of the frame."""
        return self.centre + (points - 0.5) @ _axes(self.up) * self.size


def _axes(up: Array) -> Array:
    """Return the directions (2, 2) to the right and down of a region."""
    return np.array([[-up[1], up[0]], [-up[0], -up[1]]])


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)
