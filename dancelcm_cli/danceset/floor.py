"""Feet that carry the dancer: the lower one stands on the floor, and slides little."""

from __future__ import annotations

from functools import cache

import numpy as np

from dancelcm_cli.danceset.dance import SIDES
from dancelcm_cli.danceset.geometry import Floats, Ints
from dancelcm_cli.danceset.makehuman import NUM_BODY_VERTICES, load_base
from dancelcm_cli.danceset.pose import Pose
from dancelcm_cli.danceset.skeleton import FEET, load_skeleton, skin, skinning

SOLE_THICKNESS = 0.25  # dm of the rest foot, from the floor up, that count as its sole
GRIP = 0.85  # the share of a standing foot's sliding that moves the body instead
SOFTNESS = 0.3  # dm: a foot this much higher carries a third as much


def stand(pose: Pose, vertices: Floats, joints: Floats) -> Pose:
    """Return `pose` with the lowest point of the feet at height 0 in each frame.

    The body moves over the floor by what its standing foot would slide; on the whole it stays about
    the place x = z = 0.

    Args:
        pose: With a still root.
        vertices: The body's rest shape (V, 3).
        joints: Its joints (B, 3) at rest.
    """
    feet = {side: _follow(pose, vertices, joints, ids) for side, ids in _soles().items()}
    heights = np.stack([points[..., 1].min(axis=1) for points in feet.values()], axis=1)  # (F, 2)
    lowest = heights.min(axis=1)
    load = np.exp(-(heights - lowest[:, None]) / SOFTNESS)
    load /= load.sum(axis=1, keepdims=True)
    places = np.stack([points.mean(axis=1) for points in feet.values()], axis=1)  # (F, 2, 3)
    slides = np.diff(places, axis=0, prepend=places[:1]) * load[..., None]
    shift = -GRIP * np.cumsum(slides.sum(axis=1), axis=0)
    shift -= np.linspace(shift[0], shift[-1], len(shift))  # or the dancer would leave the room
    shift[:, 1] = -lowest
    return pose.moved(shift)


def _follow(pose: Pose, vertices: Floats, joints: Floats, ids: Ints) -> Floats:
    weights = load_skeleton().weights[ids]
    frames = zip(pose.rotations, pose.positions, strict=True)
    return np.stack([skin(vertices[ids], weights, skinning(joints, *frame))[0] for frame in frames])


@cache
def _soles() -> dict[str, Ints]:
    base = load_base().vertices[:NUM_BODY_VERTICES]
    feet = load_skeleton().share(FEET)[:NUM_BODY_VERTICES] > 0.5
    soles = feet & (base[:, 1] < base[:, 1].min() + SOLE_THICKNESS)
    return {side: np.flatnonzero(soles & (sign * base[:, 0] > 0)) for side, sign in SIDES.items()}
