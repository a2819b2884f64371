"""Upright boxes `left, top, right, bottom` in pixels: their overlap, and what is seen twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # (N, 4)


def overlaps(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4), in [0, 1]."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=-1)
    union = areas(some)[:, None] + areas(others)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Return the areas (N,) of boxes (N, 4); 0 where nothing lies between the edges."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=-1), np.float64)


def distinct(boxes: Boxes, scores: NDArray[np.float64], most: float) -> list[int]:
    """Return which boxes (N, 4) to keep, best first, so that no two overlap by more than `most`.

    Of two that do, the one with the higher score stays (non-maximum suppression).
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[overlaps(boxes[best : best + 1], boxes[rest])[0] <= most]
    return kept
