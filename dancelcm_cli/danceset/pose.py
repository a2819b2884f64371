"""A dance put into a body: where each bone is in each frame, with a foot on the ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dancelcm_cli.danceset.dance import SIDES, Dance
from dancelcm_cli.danceset.geometry import Floats, Y, between, turn, turn_onto, unit
from dancelcm_cli.danceset.hands import HandTrack, bend_fingers, palm_axes
from dancelcm_cli.danceset.skeleton import load_skeleton

SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")  # from the hips up
NECK = ("neck01", "neck02", "neck03")
DOWN = -Y


@dataclass(frozen=True)
class Pose:
    """The bones of a body in each frame of a clip."""

    rotations: Floats  # (F, B, 3, 3) against the rest pose, in world axes
    positions: Floats  # (F, B, 3) of the joints

    def moved(self, shift: Floats) -> Pose:
        """Return the pose with all joints moved by `shift` (F, 3)."""
        return Pose(self.rotations, self.positions + shift[:, None])


def pose_body(dance: Dance, hands: Mapping[str, HandTrack], joints: Floats) -> Pose:
    """Return how a body dances, its root joint in place.

    Args:
        dance: What the big joints do.
        hands: What the fingers do, by side.
        joints: The joints (B, 3) of the body at rest.
    """
    skeleton = load_skeleton()
    absolute = _trunk(dance)
    relative: dict[str, Floats] = {}
    for side in SIDES:
        absolute |= _arm(dance, joints, side) | _leg(dance, joints, side)
        relative |= bend_fingers(hands[side], joints, side)
    num_frames = len(dance.root)
    rotations = np.empty((num_frames, len(skeleton.names), 3, 3))
    positions = np.zeros((num_frames, len(skeleton.names), 3))
    for bone, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents, strict=True)):
        if name in absolute:
            rotations[:, bone] = absolute[name]
        else:
            rotations[:, bone] = rotations[:, parent] @ relative.get(name, np.eye(3))
        if parent >= 0:
            arm = joints[bone] - joints[parent]
            positions[:, bone] = positions[:, parent] + rotations[:, parent] @ arm
    return Pose(rotations, positions)


def _trunk(dance: Dance) -> dict[str, Floats]:
    spine = {
        name: between(dance.root, dance.chest, (step + 1) / len(SPINE))
        for step, name in enumerate(SPINE)
    }
    neck = {
        name: between(dance.chest, dance.head, (step + 1) / (len(NECK) + 1))
        for step, name in enumerate(NECK)
    }
    return {"root": dance.root, **spine, **neck, "head": dance.head}


def _arm(dance: Dance, joints: Floats, side: str) -> dict[str, Floats]:
    """Return the bones of an arm; the rest pose, where it hangs askew, is turned straight first."""
    upper = _hang(joints, f"upperarm01.{side}", f"lowerarm01.{side}")
    lower = _hang(joints, f"lowerarm01.{side}", f"wrist.{side}")
    elbow, twist = dance.elbow[side], dance.forearm_twist[side]
    along, _, palm = palm_axes(joints, side)
    return {
        f"clavicle.{side}": dance.collar[side],
        f"upperarm01.{side}": dance.shoulder[side] @ upper,
        f"lowerarm01.{side}": elbow @ lower,
        f"lowerarm02.{side}": elbow @ turn(Y, twist / 2) @ lower,
        f"wrist.{side}": elbow
        @ turn(Y, twist)
        @ lower
        @ turn(np.cross(along, palm), dance.wrist[side]),
    }


def _leg(dance: Dance, joints: Floats, side: str) -> dict[str, Floats]:
    upper = _hang(joints, f"upperleg01.{side}", f"lowerleg01.{side}")
    lower = _hang(joints, f"lowerleg01.{side}", f"foot.{side}")
    return {
        f"upperleg01.{side}": dance.hip[side] @ upper,
        f"lowerleg01.{side}": dance.knee[side] @ lower,
        f"foot.{side}": dance.foot[side],
    }


def _hang(joints: Floats, start: str, end: str) -> Floats:
    """Return the rotation (3, 3) that makes a limb of the rest pose hang straight down."""
    index = load_skeleton().index
    return turn_onto(unit(joints[index(end)] - joints[index(start)]), DOWN)
