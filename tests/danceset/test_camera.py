from __future__ import annotations

import numpy as np
import pytest

from dancelcm_cli.danceset.camera import FAR, NEAR, depth_of, draw_camera, look_at
from dancelcm_cli.danceset.room import draw_room, room_mesh, shadow_matrix

POINTS = np.random.default_rng(0).uniform((-8, 0, -4), (8, 17, 4), (200, 3))


def test_pixels_are_those_of_opengl() -> None:
    camera = look_at(np.array([1.0, 8.0, 0.0]), 50, 0.4, 0.1, 0.5, (384, 256))
    clip = np.c_[POINTS, np.ones(len(POINTS))] @ camera.matrix.T
    device = clip[:, :3] / clip[:, 3:]
    pixels, depths = camera.project(POINTS)
    assert np.allclose(pixels[:, 0], (device[:, 0] + 1) / 2 * 256)
    assert np.allclose(pixels[:, 1], (1 - device[:, 1]) / 2 * 384)
    assert np.allclose(depth_of((device[:, 2] + 1) / 2), depths)
    assert depth_of(np.array([0.0, 1.0])) == pytest.approx([NEAR, FAR])


def test_the_target_is_in_the_middle_and_its_distance_is_its_depth() -> None:
    target = np.array([1.0, 8.0, 2.0])
    pixels, depth = look_at(target, 50, 1.0, 0, 0.5, (384, 256)).project(target)
    assert pixels == pytest.approx([128, 192])
    assert depth == pytest.approx(50)


@pytest.mark.parametrize("seed", range(5))
def test_the_whole_dance_is_in_view_and_fills_it(seed: int) -> None:
    camera = draw_camera(np.random.default_rng(seed), POINTS, 0.3, (384, 256))
    places = camera.project(POINTS)[0] / (256, 384)
    assert places.min() > 0.03 and places.max() < 0.97
    assert max(np.ptp(places, axis=0)) > 0.8
    assert abs(camera.yaw - 0.3) <= 0.45


def test_a_dancer_who_faces_the_camera_has_the_left_on_the_right() -> None:
    camera = draw_camera(np.random.default_rng(0), POINTS, 0.0, (384, 256))
    left, right = camera.project(np.array([[1.0, 10, 0], [-1.0, 10, 0]]))[0]
    assert left[0] > right[0]


def test_the_lamp_sees_all_that_casts_a_shadow() -> None:
    room = draw_room(np.random.default_rng(1), 0.2)
    seen = np.c_[POINTS, np.ones(len(POINTS))] @ shadow_matrix(room, POINTS).T
    assert np.abs(seen).max() <= 1
    nearer = seen - np.append(room.lamp, 1) @ np.zeros((4, 4))
    above = np.c_[POINTS + room.lamp, np.ones(len(POINTS))] @ shadow_matrix(room, POINTS).T
    assert (above[:, 2] < nearer[:, 2]).all()  # towards the lamp is nearer to it
    assert np.allclose(above[:, :2], seen[:, :2])


def test_floor_and_wall_face_the_dancer() -> None:
    mesh = room_mesh(draw_room(np.random.default_rng(2), 0.0)).reshape(4, 3, 5)[..., :3]
    assert np.allclose(mesh[:2, :, 1], 0)
    assert mesh[2:, :, 2].max() < 50 and mesh[2:, :, 1].max() > 100
