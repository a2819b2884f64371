"""Scores of how a video moves: what blurs, flickers or tears from one frame to the next.

All of it is told by the truth: where it moves, where it stands still, and where its pixels go
(OpenCV's DIS optical flow, which needs no weights).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.evaluate.frame_metrics import Frame, grey
from dancelcm_cli.evaluate.meters import Moment, Values

MOTION_LEVEL = 25.5  # grey levels: what `motion_threshold` is by default, a tenth of the range
REACH = 5  # pixels to each side of motion that count as moving
LEAST_SHARE = 0.005  # of a frame, for a region to be measured
LEAST_LEVEL = 0.05  # grey levels: what the truth must hold to be divided by
TOLERANCE = 1.0  # pixels that a flow there and back may miss its start by

Mask = NDArray[np.bool_]
Flow = NDArray[np.float32]  # (H, W, 2): where a pixel was in the frame before, relative to now


@dataclass(frozen=True)
class _Motion:
    """What the truth does between two frames; masks are (H, W)."""

    moving: Mask
    still: Mask
    flow: Flow
    followed: Mask  # the pixels that were seen in the frame before, too


class MotionMeter:
    """Measures `metrics`, some of `MOTION_METRICS`; a video's first frame has none."""

    life_size = False

    def __init__(self, metrics: Sequence[MetricName]) -> None:
        self.metrics = metrics
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def measure(self, moments: Iterable[Moment]) -> Iterator[Sequence[Values]]:
        """Yield the values of each candidate at each moment."""
        before: Moment | None = None
        for moment in moments:
            truth, shown = moment
            if before is None:
                yield [{} for _ in shown]
            else:
                motion = self._motion(before[0], truth)
                true_values = _absolute(before[0], truth, motion)
                yield [
                    self._chosen(_absolute(earlier, frame, motion), true_values)
                    for earlier, frame in zip(before[1], shown, strict=True)
                ]
            before = moment

    def _motion(self, before: Frame, now: Frame) -> _Motion:
        change = np.abs(now.astype(np.int16) - before.astype(np.int16)).max(axis=-1)
        kernel = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
        near = cv2.dilate((change > MOTION_LEVEL).astype(np.uint8), kernel).astype(np.bool_)
        earlier, later = grey(before), grey(now)
        back = _calculated(self._flow, later, earlier)
        forth = _calculated(self._flow, earlier, later)
        miss = np.linalg.norm(back + _moved(forth, back), axis=-1)
        return _Motion(near, ~near, back, miss < TOLERANCE)

    def _chosen(
        self, values: dict[MetricName, float], true_values: dict[MetricName, float]
    ) -> Values:
        """Return the metrics asked for: all but flicker relative to the truth's own."""
        relative: dict[MetricName, float] = {
            name: value / true_values[name]
            for name, value in values.items()
            if name != "flicker" and true_values[name] > LEAST_LEVEL
        }
        if "flicker" in values:
            relative["flicker"] = values["flicker"]
        return {name: relative[name] for name in self.metrics if name in relative}


def _absolute(before: Frame, now: Frame, motion: _Motion) -> dict[MetricName, float]:
    """Return what can be said of one video alone, in grey levels."""
    edges = np.abs(cv2.Laplacian(grey(now), cv2.CV_32F))
    change = np.abs(now.astype(np.float32) - before).mean(axis=-1)
    torn = np.abs(now - _moved(before.astype(np.float32), motion.flow)).mean(axis=-1)
    measured: tuple[tuple[MetricName, NDArray[Any], Mask], ...] = (
        ("sharpness_moving", edges, motion.moving),
        ("sharpness_still", edges, motion.still),
        ("flicker", change, motion.still),
        ("warp_error", torn, motion.followed),
    )
    return {
        name: float(levels[region].mean())
        for name, levels, region in measured
        if region.mean() >= LEAST_SHARE
    }


def _calculated(method: Any, first: Frame, second: Frame) -> Flow:
    return np.asarray(method.calc(first, second, None), np.float32)


def _moved(picture: NDArray[np.float32], flow: Flow) -> NDArray[np.float32]:
    """Return `picture` (H, W, C) as it is where `flow` points to from each pixel."""
    rows, columns = np.indices(flow.shape[:2], dtype=np.float32)
    places = columns + flow[..., 0], rows + flow[..., 1]
    moved = cv2.remap(picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
