from __future__ import annotations

import numpy as np
import pytest

from dancelcm_cli.danceset.dance import SIDES, draw_beat, draw_dance
from dancelcm_cli.danceset.expression import (
    UNITS,
    draw_expression,
    expression_offsets,
    moved_vertices,
)
from dancelcm_cli.danceset.floor import stand
from dancelcm_cli.danceset.hands import HandTrack, bend_fingers, draw_hand, palm_axes
from dancelcm_cli.danceset.landmarks import FACE_68, keypoint_weights
from dancelcm_cli.danceset.makehuman import load_base
from dancelcm_cli.danceset.pose import Pose, pose_body
from dancelcm_cli.danceset.skeleton import load_skeleton, skin, skinning

NUM_FRAMES = 12
RACES = {"african": 0.2, "asian": 0.3, "caucasian": 0.5}


@pytest.fixture
def joints() -> np.ndarray:
    return load_skeleton().joints(load_base().vertices)


@pytest.fixture
def pose(joints: np.ndarray) -> Pose:
    rng = np.random.default_rng(5)
    beat = draw_beat(rng, NUM_FRAMES, 12)
    hands = {side: draw_hand(rng, beat) for side in SIDES}
    return pose_body(draw_dance(rng, beat), hands, joints)


def keypoints_of(pose: Pose, joints: np.ndarray, frame: int) -> np.ndarray:
    used, weights = keypoint_weights()
    bones = skinning(joints, pose.rotations[frame], pose.positions[frame])
    moved, _ = skin(load_base().vertices[used], load_skeleton().weights[used], bones)
    return np.asarray(weights @ moved)


def test_bones_keep_their_lengths(pose: Pose, joints: np.ndarray) -> None:
    parents = np.array(load_skeleton().parents)[1:]
    rest = np.linalg.norm(joints[1:] - joints[parents], axis=-1)
    now = np.linalg.norm(pose.positions[:, 1:] - pose.positions[:, parents], axis=-1)
    assert np.allclose(now, rest)


def test_rotations_are_rotations(pose: Pose) -> None:
    products = pose.rotations @ np.swapaxes(pose.rotations, -1, -2)
    assert np.allclose(products, np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(pose.rotations), 1)


def test_the_lowest_foot_stands_on_the_floor(pose: Pose, joints: np.ndarray) -> None:
    vertices = load_base().vertices
    standing = stand(pose, vertices, joints)
    for frame in range(NUM_FRAMES):
        bones = skinning(joints, standing.rotations[frame], standing.positions[frame])
        body = skin(vertices[:13380], load_skeleton().weights[:13380], bones)[0]
        assert body[:, 1].min() == pytest.approx(0, abs=0.05)


def test_a_standing_foot_slides_less(pose: Pose, joints: np.ndarray) -> None:
    ankles = [load_skeleton().index(f"foot.{side}") for side in SIDES]

    def sliding(moving: Pose) -> float:
        feet = moving.positions[:, ankles]
        lower = feet[..., 1].argmin(axis=1)[1:]
        steps = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1)
        return float(steps[np.arange(len(lower)), lower].sum())

    assert sliding(stand(pose, load_base().vertices, joints)) < 0.75 * sliding(pose)


@pytest.mark.parametrize("side", ["L", "R"])
def test_the_palm_of_a_hanging_arm_faces_the_thigh(joints: np.ndarray, side: str) -> None:
    along, across, palm = palm_axes(joints, side)
    assert along[1] < 0 and across[2] > 0  # fingers downwards, thumbs to the front
    assert palm[0] * SIDES[side] < 0


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_fist_brings_the_fingertips_to_the_palm(joints: np.ndarray, side: str) -> None:
    def gaps(bend: float) -> np.ndarray:
        track = HandTrack(np.full((1, 5), bend), np.zeros(1))
        turns = bend_fingers(track, joints, side)
        index = load_skeleton().index
        lengths = []
        for finger in range(2, 6):
            turned, place = np.eye(3), joints[index(f"finger{finger}-1.{side}")]
            for joint in range(1, 4):
                turned = turned @ turns[f"finger{finger}-{joint}.{side}"][0]
                if joint < 3:
                    start, end = (index(f"finger{finger}-{j}.{side}") for j in (joint, joint + 1))
                    place = place + turned @ (joints[end] - joints[start])
            lengths.append(np.linalg.norm(place - joints[index(f"wrist.{side}")]))
        return np.array(lengths)

    assert (gaps(1.0) < 0.85 * gaps(0.0)).all()


def test_left_and_right_keypoints_are_of_their_side(joints: np.ndarray) -> None:
    still = Pose(np.tile(np.eye(3), (1, len(joints), 1, 1)), joints[None])
    x = keypoints_of(still, joints, 0)[:, 0]
    left, right = [5, 6, 7, 11, 12, 13, 15, 17, 18, 19, 20], [2, 3, 4, 8, 9, 10, 14, 16, 21, 22, 23]
    assert (x[left] > 0.05).all() and (x[right] < -0.05).all()
    assert (x[92:113] > 0.05).all() and (x[113:134] < -0.05).all()
    assert np.allclose(x[left], -x[right], atol=0.05)
    assert x[24 + 0] < x[24 + 8] < x[24 + 16]  # the jaw, from the right ear to the left
    assert x[24 + 36] < x[24 + 39] < x[24 + 42] < x[24 + 45]  # the eyes


def test_hands_move_their_fingers_alone() -> None:
    rng = np.random.default_rng(0)
    track = draw_hand(rng, draw_beat(rng, 24, 12))
    assert track.bends.shape == (24, 5) and track.spread.shape == (24,)
    assert np.ptp(track.bends, axis=0).min() > 0.05
    assert np.abs(np.diff(track.bends, axis=0)).max() < 1  # no jumps


def test_a_still_face_is_the_face_at_rest() -> None:
    nothing = expression_offsets(np.zeros((2, len(UNITS))), RACES)
    assert nothing.shape == (2, len(moved_vertices()), 3)
    assert not nothing.any()


def face_with(name: str) -> np.ndarray:
    strengths = np.array([[float(unit == name) for unit in UNITS]])
    vertices = load_base().vertices.copy()
    vertices[moved_vertices()] += expression_offsets(strengths, RACES)[0]
    return vertices[list(FACE_68)]


def test_expressions_move_the_landmarks_they_are_named_after() -> None:
    rest = load_base().vertices[list(FACE_68)]
    mouth, lids = face_with("mouth-open"), face_with("eye-left-closure")
    assert rest[66, 1] - mouth[66, 1] > 0.1 > abs(rest[62, 1] - mouth[62, 1])
    left, right = [43, 44, 46, 47], [37, 38, 40, 41]
    assert np.ptp(lids[left, 1]) < 0.4 * np.ptp(rest[left, 1])
    assert np.allclose(lids[right], rest[right])


def test_face_landmarks_mirror_each_other() -> None:
    face = load_base().vertices[list(FACE_68)]
    order = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
    order += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    order += [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]
    assert np.allclose(face * [-1, 1, 1], face[order], atol=1e-4)


def test_a_face_blinks_and_changes() -> None:
    rng = np.random.default_rng(3)
    track = draw_expression(rng, draw_beat(rng, 48, 12))
    assert track.min() >= 0
    closed = track[:, UNITS.index("eye-left-closure")]
    assert closed.max() > 0.4 and (closed == 0).mean() > 0.8
    assert np.ptp(track, axis=0).max() > 0.2
