"""What happens in a clip: a person, a dance, a room and a camera, all drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.body import shape_body
from dancelcm_cli.danceset.camera import Camera, draw_camera
from dancelcm_cli.danceset.dance import SIDES, draw_beat, draw_dance
from dancelcm_cli.danceset.expression import draw_expression, expression_offsets
from dancelcm_cli.danceset.floor import stand
from dancelcm_cli.danceset.geometry import Floats, Y
from dancelcm_cli.danceset.hands import draw_hand
from dancelcm_cli.danceset.makehuman import NUM_BODY_VERTICES
from dancelcm_cli.danceset.person import Person, draw_person
from dancelcm_cli.danceset.pose import Pose, pose_body
from dancelcm_cli.danceset.room import Room, draw_room
from dancelcm_cli.danceset.skeleton import load_skeleton, skin, skinning
from dancelcm_cli.seeding import stream_seed

FPS = 12
OUTLINE_STEP = 37  # one in so many vertices of the body stands for all: they are near enough


@dataclass(frozen=True)
class Scene:
    """All that is drawn at random for a clip, and what follows from it."""

    person: Person
    vertices: Floats  # (V, 3) the body at rest
    joints: Floats  # (B, 3) at rest
    bones: Floats  # (F, B, 3, 4) what each bone does in each frame
    expression: Floats  # (F, E, 3) of the `moved_vertices`
    outline: Floats  # (F, P, 3) places of the body that the camera must see
    camera: Camera
    room: Room


def draw_scene(seed: int, index: int, num_frames: int, size: tuple[int, int]) -> Scene:
    """Return the scene of clip `index` of the set `seed`.

    It depends on nothing else but the clip's length and its size, height by width in pixels.
    """

    def stream(name: str) -> Generator:
        return np.random.default_rng(stream_seed(seed, "danceset", index, name))

    person = draw_person(stream("person"))
    vertices = shape_body(person.phenotype, person.features)
    joints = load_skeleton().joints(vertices)
    beat = draw_beat(stream("beat"), num_frames, FPS)
    hands = {side: draw_hand(stream(f"hand {side}"), beat) for side in SIDES}
    pose = stand(pose_body(draw_dance(stream("dance"), beat), hands, joints), vertices, joints)
    pose = pose.moved(np.tile(person.outfit.shoes.sole_thickness * Y, (num_frames, 1)))
    frames = zip(pose.rotations, pose.positions, strict=True)
    bones = np.stack([skinning(joints, *frame) for frame in frames])
    outline = _outline(vertices, bones)
    camera = draw_camera(stream("camera"), outline, _facing(pose), size)
    moods = draw_expression(stream("expression"), beat)
    return Scene(
        person=person,
        vertices=vertices,
        joints=joints,
        bones=bones,
        expression=expression_offsets(moods, person.phenotype.races),
        outline=outline,
        camera=camera,
        room=draw_room(stream("room"), camera.yaw),
    )


def _outline(vertices: Floats, bones: Floats) -> Floats:
    some = slice(0, NUM_BODY_VERTICES, OUTLINE_STEP)
    weights = load_skeleton().weights[some]
    return np.stack([skin(vertices[some], weights, frame)[0] for frame in bones])


def _facing(pose: Pose) -> float:
    """Return the mean direction that the hips face, in radians from the front to the left."""
    front = pose.rotations[:, 0, :, 2].mean(axis=0)
    return float(np.arctan2(front[0], front[2]))
