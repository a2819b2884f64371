"""What the shaders must know of a scene: the values of their uniforms."""

from __future__ import annotations

import numpy as np

from dancelcm_cli.danceset.clothes import SOLE_HEIGHT, floor_height
from dancelcm_cli.danceset.geometry import Floats, Y, Z, turn
from dancelcm_cli.danceset.outfit import Outfit
from dancelcm_cli.danceset.person import Hairdo, Person
from dancelcm_cli.danceset.room import Room, shadow_matrix
from dancelcm_cli.danceset.scene import Scene
from dancelcm_cli.danceset.skeleton import load_skeleton

Uniforms = dict[str, float | tuple[float, ...]]
NO_SKIRT = 2.0  # a height that nothing reaches


def scene_uniforms(scene: Scene) -> Uniforms:
    """Return the uniforms of a person in a room before a camera."""
    return {
        **_person_uniforms(scene.person, scene.vertices, scene.joints),
        **_outfit_uniforms(scene.person.outfit),
        **_room_uniforms(scene.room),
        "camera": _columns(scene.camera.matrix),
        "eye": _tuple(scene.camera.eye),
        "shadow_matrix": _columns(shadow_matrix(scene.room, scene.outline)),
    }


def _person_uniforms(person: Person, vertices: Floats, joints: Floats) -> Uniforms:
    index, hair = load_skeleton().index, person.hair
    left, right = joints[index("eye.L")], joints[index("eye.R")]
    thickness = person.outfit.shoes.sole_thickness
    return {
        "head": _tuple((left + right) / 2),
        "head_scale": float(left[0] - right[0]) / 2,
        "left_eye": _tuple(left),
        "right_eye": _tuple(right),
        "neck": _tuple(joints[index("neck01")]),
        "skin_colour": person.skin,
        "lip_colour": person.lips,
        "iris_colour": person.eyes,
        "hair_colour": hair.colour,
        "hairline": hair.hairline,
        "scalp": 0.3 if hair.hairdo is Hairdo.BALD else 1.0,
        "curls": float(hair.hairdo is Hairdo.AFRO),
        "beard": hair.beard,
        "brows": hair.brows,
        "floor_height": floor_height(vertices) - thickness,
        "sole_height": thickness + 0.5 * SOLE_HEIGHT,
    }


def _outfit_uniforms(outfit: Outfit) -> Uniforms:
    top, bottom, shoes = outfit.top, outfit.bottom, outfit.shoes
    return {
        "top_hem": top.hem,
        "neckline": top.neckline,
        "sleeve": top.sleeve,
        "waist": bottom.waist,
        "bottom_hem": bottom.hem,
        "skirt_hem": NO_SKIRT if bottom.skirt_hem is None else bottom.skirt_hem,
        "collar": shoes.collar,
        "top_pattern": int(top.fabric.pattern),
        "top_first": top.fabric.first,
        "top_second": top.fabric.second,
        "bottom_pattern": int(bottom.fabric.pattern),
        "bottom_first": bottom.fabric.first,
        "bottom_second": bottom.fabric.second,
        "shoe_colour": shoes.upper,
        "sole_colour": shoes.sole,
        "lace_colour": shoes.laces,
    }


def _room_uniforms(room: Room) -> Uniforms:
    return {
        "wall": room.wall,
        "wall_top": room.wall_top,
        "floor_colour": room.floor,
        "surface": int(room.surface),
        "wall_normal": _tuple(turn(Y, room.yaw) @ Z),
        "lamp": _tuple(room.lamp),
        "lamp_strength": room.lamp_strength,
        "ambient": room.ambient,
    }


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _columns(matrix: Floats) -> tuple[float, ...]:
    return _tuple(np.ravel(matrix.T))
