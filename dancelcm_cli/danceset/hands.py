"""Hands that change their shape as they dance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.dance import Beat
from dancelcm_cli.danceset.geometry import Floats, turn, unit
from dancelcm_cli.danceset.skeleton import load_skeleton

# How far each finger is bent, from the thumb to the little finger, and how far they are spread.
# 0 is straight, 1 is bent as in a fist.
SHAPES = np.array(
    [
        (0.20, 0.22, 0.26, 0.30, 0.34, 0.0),  # relaxed
        (0.00, 0.02, 0.02, 0.02, 0.05, 0.3),  # flat
        (-0.2, -0.1, -0.1, -0.1, -0.1, 1.0),  # spread
        (0.90, 1.00, 1.00, 1.00, 1.00, 0.0),  # fist
        (0.80, 0.00, 0.95, 1.00, 1.00, 0.0),  # pointing
        (0.90, 0.00, 0.00, 0.95, 1.00, 0.8),  # victory
        (-0.3, 0.95, 1.00, 1.00, 1.00, 0.0),  # thumb up
        (0.80, 0.00, 0.95, 0.95, 0.00, 0.3),  # horns
        (0.60, 0.65, 0.15, 0.10, 0.08, 0.5),  # thumb meets index finger
        (0.40, 0.45, 0.50, 0.55, 0.60, 0.2),  # claw
    ]
)
JOINT_BENDS = np.radians([75, 95, 60])  # of a finger's three joints in a fist
THUMB_BENDS = np.radians([25, 40, 60])
SPREAD = np.radians([25, 12, 2, -8, -18])  # of each finger, towards the thumb
WIGGLE = 0.07


@dataclass(frozen=True)
class HandTrack:
    """What the fingers of one hand do."""

    bends: Floats  # (F, 5) from the thumb to the little finger, 1 is a fist
    spread: Floats  # (F,) 0 to 1


def draw_hand(rng: Generator, beat: Beat) -> HandTrack:
    """Return a hand that takes a few shapes, each held for a beat or two."""
    chosen = rng.choice(len(SHAPES), size=3)
    shapes = beat.steps(rng, SHAPES[chosen], beats=int(rng.integers(1, 4)))
    wiggle = np.stack([beat.swing(rng, 0, WIGGLE) for _ in range(5)], axis=1)
    return HandTrack(bends=shapes[:, :5] + wiggle, spread=shapes[:, 5])


def palm_axes(joints: Floats, side: str) -> tuple[Floats, Floats, Floats]:
    """Return unit vectors of a hand at rest: to the fingertips, to the thumb, out of the palm.

    Args:
        joints: The joints (B, 3) of the body at rest.
        side: "L" or "R".
    """
    index = load_skeleton().index
    wrist, middle = joints[index(f"wrist.{side}")], joints[index(f"finger3-1.{side}")]
    thumbwards = joints[index(f"finger2-1.{side}")] - joints[index(f"finger5-1.{side}")]
    along = unit(middle - wrist)
    across = unit(thumbwards - (thumbwards @ along) * along)
    palm = np.cross(along, across)
    return along, across, palm if side == "L" else -palm


def bend_fingers(track: HandTrack, joints: Floats, side: str) -> dict[str, Floats]:
    """Return how each finger bone turns (F, 3, 3) against the one before, in rest axes."""
    _, across, palm = palm_axes(joints, side)
    index = load_skeleton().index
    turns = {}
    for finger in range(1, 6):
        towards = unit(palm - across) if finger == 1 else palm  # a thumb closes over the palm
        bends = THUMB_BENDS if finger == 1 else JOINT_BENDS
        for joint in range(1, 4):
            bone = f"finger{finger}-{joint}.{side}"
            following = f"finger{finger}-{min(joint + 1, 3)}.{side}"
            before = f"finger{finger}-{min(joint, 2)}.{side}"
            along = unit(joints[index(following)] - joints[index(before)])
            bend = turn(np.cross(along, towards), track.bends[:, finger - 1] * bends[joint - 1])
            if joint == 1:
                outwards = turn(np.cross(along, across), track.spread * SPREAD[finger - 1])
                bend = outwards @ bend
            turns[bone] = bend
    return turns
