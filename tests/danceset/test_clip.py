from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("moderngl", reason='needs `pip install "dancelcm[danceset]"`')

from dancelcm_cli.danceset.camera import look_at
from dancelcm_cli.danceset.clip import render_scene
from dancelcm_cli.danceset.dance import SIDES, Dance
from dancelcm_cli.danceset.figure import Figure, make_figure
from dancelcm_cli.danceset.floor import stand
from dancelcm_cli.danceset.geometry import X, Y, Z, turn
from dancelcm_cli.danceset.hands import HandTrack
from dancelcm_cli.danceset.landmarks import keypoint_weights
from dancelcm_cli.danceset.look import scene_uniforms
from dancelcm_cli.danceset.parts import FREE, Material, Part
from dancelcm_cli.danceset.pose import pose_body
from dancelcm_cli.danceset.renderer import Renderer, Stage
from dancelcm_cli.danceset.room import room_mesh
from dancelcm_cli.danceset.scene import Scene, draw_scene
from dancelcm_cli.danceset.skeleton import load_skeleton, skinning
from dancelcm_cli.perception.keypoints import BODY, LEFT_HAND, RIGHT_HAND

SIZE = (192, 128)
NOSE, RIGHT_WRIST, LEFT_WRIST, LEFT_KNEE, LEFT_ANKLE = 0, 4, 7, 12, 13
RIGHT_INDEX_TIP, LEFT_THUMB_TIP = 113 + 8, 92 + 4


@pytest.fixture(scope="module")
def scene() -> Scene:
    return draw_scene(seed=3, index=0, num_frames=3, size=SIZE)


def stage_of(renderer: Renderer, figure: Figure, scene: Scene) -> Stage:
    return Stage(renderer, figure, room_mesh(scene.room), scene_uniforms(scene))


def silhouette(stage: Stage, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Which pixels the figure covers: those that are nearer with it than without."""
    shown = stage.draw(points, normals).depth
    empty = stage.draw(points + 5000, normals).depth
    return np.asarray(shown < empty - 0.05)


def bounds(places: np.ndarray) -> np.ndarray:
    return np.concatenate([places.min(axis=0), places.max(axis=0)])


def marker(place: np.ndarray, weights: np.ndarray) -> Figure:
    """A figure that is nothing but a small octahedron, moved by the bones with `weights` (B,)."""
    points = (place + 0.4 * np.concatenate([np.eye(3), -np.eye(3)])).astype(np.float32)
    triangles = [[a, b, c] for a in (0, 3) for b in (1, 4) for c in (2, 5)]
    part = Part(
        material=Material.TEETH,
        points=points,
        normals=points - place.astype(np.float32),
        triangles=np.array(triangles, np.int32),
        weights=np.tile(weights, (6, 1)),
        source=np.full(6, FREE),
        uvs=np.zeros((6, 2), np.float32),
        chart=np.zeros((6, 4), np.float32),
    )
    nothing = np.array([], int)
    return Figure((part,), part.points, part.normals, part.weights, nothing, nothing)


def test_the_silhouette_is_where_the_figure_projects_to(renderer: Renderer, scene: Scene) -> None:
    figure = make_figure(scene.person, scene.vertices, scene.joints)
    stage = stage_of(renderer, figure, scene)
    for bones, expression in zip(scene.bones, scene.expression, strict=True):
        points, normals = figure.at(bones, expression)
        rows, columns = np.nonzero(silhouette(stage, points, normals))
        worn = np.unique(np.concatenate(_triangles(figure)))
        projected = scene.camera.project(points[worn])[0]
        seen = np.stack([columns, rows], axis=1) + 0.5
        # Cloth that is cut away projects, too, but lies within the silhouette's bounds.
        assert np.abs(bounds(seen) - bounds(projected)).max() < 2


def _triangles(figure: Figure) -> list[np.ndarray]:
    offsets = np.cumsum([0, *(len(part.points) for part in figure.parts)])
    pairs = zip(figure.parts, offsets, strict=False)
    return [part.triangles.ravel() + start for part, start in pairs if _always_shown(part)]


def _always_shown(part: Part) -> bool:
    return part.material in (Material.SKIN, Material.EYE)


@pytest.mark.parametrize(
    "keypoint",
    [NOSE, RIGHT_WRIST, LEFT_WRIST, LEFT_KNEE, LEFT_ANKLE, RIGHT_INDEX_TIP, LEFT_THUMB_TIP],
)
def test_a_marker_at_a_joint_is_drawn_at_its_keypoint(
    renderer: Renderer, scene: Scene, keypoint: int
) -> None:
    still = replace(scene, expression=np.zeros_like(scene.expression))
    keypoints = render_scene(still, renderer).keypoints[:, keypoint]
    used, shares = keypoint_weights()
    place = shares[keypoint] @ scene.vertices[used]
    weights = shares[keypoint] @ load_skeleton().weights[used]
    figure = marker(place, weights)
    stage = stage_of(renderer, figure, still)
    for bones, expected in zip(still.bones, keypoints, strict=True):
        rows, columns = np.nonzero(silhouette(stage, *figure.at(bones, still.expression[0])))
        centre = (bounds(np.stack([columns, rows], axis=1) + 0.5).reshape(2, 2)).mean(axis=0)
        assert centre == pytest.approx(expected, abs=0.8)


def standing(scene: Scene, arm: np.ndarray, elbow: np.ndarray, yaw: float) -> Scene:
    """One frame in which the person stands straight; `arm` and `elbow` turn the left one."""
    still = np.eye(3)[None]
    away = turn(Z, -0.5)[None]  # or the hand would be in the skirt
    arms, elbows = {"L": arm[None], "R": away}, {"L": (arm @ elbow)[None], "R": away}
    nothing = dict.fromkeys(SIDES, np.zeros(1))
    upright = dict.fromkeys(SIDES, still)
    dance = Dance(
        root=still,
        chest=still,
        head=still,
        collar=upright,
        shoulder=arms,
        elbow=elbows,
        forearm_twist=nothing,
        wrist=nothing,
        hip=upright,
        knee=upright,
        foot=upright,
    )
    hands = dict.fromkeys(SIDES, HandTrack(np.zeros((1, 5)), np.zeros(1)))
    pose = stand(pose_body(dance, hands, scene.joints), scene.vertices, scene.joints)
    bones = skinning(scene.joints, pose.rotations[0], pose.positions[0])[None]
    camera = look_at(pose.positions[0].mean(axis=0), 60, yaw, 0, 0.5, SIZE)
    room = replace(scene.room, yaw=yaw)
    return replace(scene, bones=bones, expression=scene.expression[:1], camera=camera, room=room)


def test_a_hand_behind_the_back_is_seen_from_behind_alone(renderer: Renderer, scene: Scene) -> None:
    arm, elbow = turn(X, 0.7), turn(Y, -1.7) @ turn(X, -0.8)
    front = render_scene(standing(scene, arm, elbow, yaw=0), renderer)
    back = render_scene(standing(scene, arm, elbow, yaw=np.pi), renderer)
    assert front.visible[0, LEFT_HAND].mean() < 0.2 < 0.9 < back.visible[0, LEFT_HAND].mean()
    assert front.visible[0, RIGHT_HAND].mean() > 0.5
    assert not back.visible[0, NOSE] and front.visible[0, NOSE]


def test_the_raised_arm_is_the_left_one(renderer: Renderer, scene: Scene) -> None:
    raised = render_scene(standing(scene, turn(X, -3.0), np.eye(3), yaw=0), renderer).keypoints[0]
    assert raised[LEFT_WRIST, 1] < raised[NOSE, 1] < raised[RIGHT_WRIST, 1]
    assert raised[LEFT_WRIST, 0] > raised[RIGHT_WRIST, 0]  # on the right as the camera sees it
    assert (raised[LEFT_HAND, 1] < raised[NOSE, 1]).all()
    assert (raised[RIGHT_HAND, 1] > raised[NOSE, 1]).all()


def test_points_outside_the_frame_are_not_visible(renderer: Renderer, scene: Scene) -> None:
    near = replace(scene, camera=look_at(np.array([0.0, 15, 0]), 12, 0, 0, 0.5, SIZE))
    clip = render_scene(near, renderer)
    inside = ((clip.keypoints >= 0) & (clip.keypoints < (SIZE[1], SIZE[0]))).all(axis=-1)
    assert not inside.all()
    assert not clip.visible[~inside].any()


def test_a_clip_is_the_same_whatever_was_rendered_before(renderer: Renderer) -> None:
    first = render_scene(draw_scene(3, 1, 2, SIZE), renderer)
    render_scene(draw_scene(3, 2, 2, SIZE), renderer)
    again = render_scene(draw_scene(3, 1, 2, SIZE), Renderer(*SIZE))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.keypoints, again.keypoints)
    assert np.array_equal(first.visible, again.visible)


def test_seed_and_index_choose_the_person_and_the_dance() -> None:
    scenes = [draw_scene(seed, index, 2, SIZE) for seed, index in ((3, 1), (3, 2), (4, 1))]
    assert len({str(scene.person) for scene in scenes}) == 3
    assert len({scene.bones.tobytes() for scene in scenes}) == 3


def test_dancers_move_and_are_seen(renderer: Renderer, scene: Scene) -> None:
    clip = render_scene(scene, renderer)
    assert clip.frames.shape == (3, *SIZE, 3) and clip.frames.dtype == np.uint8
    assert clip.visible[:, BODY].mean() > 0.7
    steps = np.linalg.norm(np.diff(clip.keypoints[:, BODY], axis=0), axis=-1)
    assert steps.max() > 1
