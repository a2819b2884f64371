"""One rendered clip: its frames, and where its keypoints are in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.danceset.expression import moved_vertices
from dancelcm_cli.danceset.figure import make_figure
from dancelcm_cli.danceset.geometry import Floats
from dancelcm_cli.danceset.landmarks import keypoint_weights, visible_points
from dancelcm_cli.danceset.look import scene_uniforms
from dancelcm_cli.danceset.renderer import Renderer, Stage
from dancelcm_cli.danceset.room import room_mesh
from dancelcm_cli.danceset.scene import Scene
from dancelcm_cli.danceset.skeleton import load_skeleton, skin


@dataclass(frozen=True)
class DanceClip:
    """A rendered clip."""

    frames: NDArray[np.uint8]  # (F, H, W, 3) RGB
    keypoints: NDArray[np.float32]  # (F, 134, 2) pixels
    visible: NDArray[np.bool_]  # (F, 134)


def render_scene(scene: Scene, renderer: Renderer) -> DanceClip:
    """Return the frames of `scene`, and where its keypoints are in them."""
    figure = make_figure(scene.person, scene.vertices, scene.joints)
    stage = Stage(renderer, figure, room_mesh(scene.room), scene_uniforms(scene))
    frames, keypoints, visible = [], [], []
    for bones, expression in zip(scene.bones, scene.expression, strict=True):
        picture = stage.draw(*figure.at(bones, expression))
        pixels, depths = scene.camera.project(_keypoints(scene, bones, expression))
        frames.append(picture.frame)
        keypoints.append(pixels)
        visible.append(visible_points(pixels, depths, picture.depth, scene.camera))
    return DanceClip(np.stack(frames), np.stack(keypoints).astype(np.float32), np.stack(visible))


def _keypoints(scene: Scene, bones: Floats, expression: Floats) -> Floats:
    """Return the keypoints (134, 3) in the room."""
    used, weights = keypoint_weights()
    points = scene.vertices.copy()
    points[moved_vertices()] += expression
    moved, _ = skin(points[used], load_skeleton().weights[used], bones)
    return weights @ moved
