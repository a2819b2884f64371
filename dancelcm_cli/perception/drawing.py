"""Pose pictures as UniAnimate draws them: body, feet and hands on black, and no face points.

The figure is drawn in whole pixels on a canvas 768 pixels high, the size UniAnimate was trained at,
and then resized; so a pose looks the same at every size, and is exact to the pixel at 768 x 512.
Sizes and hues are those of UniAnimate's `dwpose/util.py`, which OpenCV writes with red and blue
swapped: here they are RGB.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from math import atan2, degrees, hypot

import cv2
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.perception.keypoints import LEFT_HAND, RIGHT_HAND, SEEN_THRESHOLD

Colour = tuple[int, int, int]
Point = tuple[int, int]

CANVAS_HEIGHT = 768  # pixels
RADIUS = 4  # of a joint, and half the width of a limb, in canvas pixels
HAND_LINE = 2  # width of a finger, in canvas pixels
HAND_COLOUR: Colour = (255, 0, 0)
LEFT_TOES, RIGHT_TOES = 18, 19
FINGERS = tuple(
    (0 if joint == 1 else 4 * finger + joint - 1, 4 * finger + joint)
    for finger in range(5)
    for joint in range(1, 5)
)
# fmt: off
LIMBS = (  # pairs of the 20 points, in drawing order; the colour of limb i is that of point i
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (13, LEFT_TOES), (10, RIGHT_TOES),
)
# fmt: on


def _hues(count: int) -> tuple[Colour, ...]:
    """Return `count` full colours around the colour circle, from blue over green to red."""
    circle = (colorsys.hsv_to_rgb(index / count, 1, 1) for index in range(count))
    return tuple((round(255 * b), round(255 * g), round(255 * r)) for r, g, b in circle)


BODY_COLOURS = (*_hues(18), (255, 255, 170), (0, 255, 255))
FINGER_COLOURS = _hues(20)


def body_with_toes(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return UniAnimate's 20 body points (..., 20, 3) of keypoints (..., 134, 3).

    They are the 18 body points, then the mean of the left and of the right foot's two toes, with
    the lower of the toes' scores.
    """
    left, right = keypoints[..., 18:20, :], keypoints[..., 21:23, :]
    toes = np.stack([left.mean(axis=-2), right.mean(axis=-2)], axis=-2)
    toes[..., 2] = np.stack([left[..., 2].min(axis=-1), right[..., 2].min(axis=-1)], axis=-1)
    return np.concatenate([keypoints[..., :18, :], toes], axis=-2)


def draw_pose(
    keypoints: NDArray[np.float32], height: int, width: int, threshold: float = SEEN_THRESHOLD
) -> NDArray[np.uint8]:
    """Return the uint8 RGB picture (height, width, 3) of one pose (134, 3).

    Points whose score is not above `threshold` are left out, with the limbs that end in them.
    """
    canvas_width = max(1, round(CANVAS_HEIGHT * width / height))
    canvas = np.zeros((CANVAS_HEIGHT, canvas_width, 3), np.uint8)
    _draw_body(canvas, _pixels(body_with_toes(keypoints), canvas_width, threshold))
    for hand in (LEFT_HAND, RIGHT_HAND):
        _draw_hand(canvas, _pixels(keypoints[hand], canvas_width, threshold))
    if canvas.shape[:2] == (height, width):
        return canvas
    shrinks = height < CANVAS_HEIGHT
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=interpolation), np.uint8)


def draw_poses(
    keypoints: NDArray[np.float32], height: int, width: int, threshold: float = SEEN_THRESHOLD
) -> NDArray[np.uint8]:
    """Return the pictures (F, height, width, 3) of a clip's keypoints (F, 134, 3)."""
    pictures = np.empty((len(keypoints), height, width, 3), np.uint8)
    for picture, pose in zip(pictures, keypoints, strict=True):
        picture[:] = draw_pose(pose, height, width, threshold)
    return pictures


def is_pose_video(frames: NDArray[np.uint8]) -> bool:
    """Tell whether frames (F, H, W, 3) are drawn poses: thin, bright hues on black.

    Looks at up to eight frames; the bounds leave room for what a video codec does to thin lines.
    """
    sample = frames[:: max(1, len(frames) // 8)].astype(np.int16)
    value = sample.max(axis=-1)
    lit = value > 64
    if not 0.001 < lit.mean() < 0.3 or (value < 32).mean() < 0.65:
        return False
    saturation = 1 - sample.min(axis=-1)[lit] / value[lit]
    return bool(np.median(saturation) > 0.6)


def _pixels(
    points: NDArray[np.float32], canvas_width: int, threshold: float
) -> list[tuple[float, float] | None]:
    """Return the canvas coordinates (x, y) of points (N, 3), None for an unseen one."""
    # Far outside the picture nothing is lost by clipping, and OpenCV's integers do not overflow.
    places = np.clip(np.nan_to_num(points[:, :2]), -4, 5) * (canvas_width, CANVAS_HEIGHT)
    seen = points[:, 2] > threshold
    return [(x, y) if ok else None for (x, y), ok in zip(places.tolist(), seen, strict=True)]


def _whole(points: list[tuple[float, float] | None]) -> Iterator[tuple[int, Point]]:
    for index, point in enumerate(points):
        if point is not None:
            yield index, (int(point[0]), int(point[1]))


def _draw_body(canvas: NDArray[np.uint8], points: list[tuple[float, float] | None]) -> None:
    for (start, end), (r, g, b) in zip(LIMBS, BODY_COLOURS[: len(LIMBS)], strict=True):
        if (first := points[start]) is None or (second := points[end]) is None:
            continue
        dx, dy = first[0] - second[0], first[1] - second[1]
        middle = (int((first[0] + second[0]) / 2), int((first[1] + second[1]) / 2))
        axes = (int(hypot(dx, dy) / 2), RADIUS)
        angle = int(degrees(atan2(dy, dx)))
        outline = np.asarray(cv2.ellipse2Poly(middle, axes, angle, 0, 360, 1))
        # Limbs have 60 % of a joint's brightness.
        cv2.fillConvexPoly(canvas, outline, (r * 3 // 5, g * 3 // 5, b * 3 // 5))
    for index, point in _whole(points):
        cv2.circle(canvas, point, RADIUS, BODY_COLOURS[index], -1)


def _draw_hand(canvas: NDArray[np.uint8], points: list[tuple[float, float] | None]) -> None:
    places = dict(_whole(points))
    for (start, end), colour in zip(FINGERS, FINGER_COLOURS, strict=True):
        if start in places and end in places:
            cv2.line(canvas, places[start], places[end], colour, HAND_LINE)
    for point in places.values():
        cv2.circle(canvas, point, RADIUS, HAND_COLOUR, -1)
