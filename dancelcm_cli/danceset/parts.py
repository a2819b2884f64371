"""The surfaces that a figure is drawn with, each of one material."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from dancelcm_cli.danceset.geometry import Floats, Ints
from dancelcm_cli.danceset.makehuman import load_base
from dancelcm_cli.danceset.skeleton import ARMS, FEET, load_skeleton

FREE = -1  # the source of a vertex that is none of the base mesh


class Material(Enum):
    """What a surface is made of; each has a fragment shader of its name."""

    SKIN = "skin"
    CLOTH = "cloth"
    SKIRT = "skirt"
    SHOE = "shoe"
    HAIR = "hair"
    EYE = "eye"
    LASH = "lash"
    TEETH = "teeth"
    TONGUE = "tongue"


@dataclass(frozen=True)
class Part:
    """A surface at rest, and how it follows the body."""

    material: Material
    points: Floats  # (N, 3)
    normals: Floats  # (N, 3)
    triangles: Ints  # (T, 3)
    weights: Floats  # (N, B) of the bones
    source: Ints  # (N,) the base vertex whose expressions a point shares, or `FREE`
    uvs: Floats  # (N, 2)
    chart: Floats  # (N, 4) body coordinates, see `body_chart`; of hair see `hair.py`


def body_chart(vertices: Floats, joints: Floats) -> Floats:
    """Return, of each base vertex, the coordinates (V, 4) that garments are cut by.

    They are how far it follows the arms, 0 to 1; how far along its arm it lies, 0 at the shoulder
    and 1 at the wrist; how high, 0 at the ankles and 1 at the neck; how far it follows the feet.
    """
    skeleton = load_skeleton()
    along = np.zeros(len(vertices))
    for side, there in (("L", vertices[:, 0] > 0), ("R", vertices[:, 0] < 0)):
        shoulder = joints[skeleton.index(f"upperarm01.{side}")]
        arm = joints[skeleton.index(f"wrist.{side}")] - shoulder
        along[there] = (vertices[there] - shoulder) @ arm / (arm @ arm)
    ankle, neck = joints[skeleton.index("foot.L"), 1], joints[skeleton.index("neck01"), 1]
    height = (vertices[:, 1] - ankle) / (neck - ankle)
    columns = (skeleton.share(ARMS), along, height, skeleton.share(FEET))
    return np.stack(columns, axis=1).astype(np.float32)


def base_part(
    material: Material,
    faces: Ints,
    points: Floats,
    normals: Floats,
    chart: Floats,
) -> Part:
    """Return the part of the base mesh that `faces` (T, 3, 2) make.

    Args:
        material: What it is made of.
        faces: Triangles of vertex and uv indices.
        points: Where all base vertices (V, 3) of this part lie.
        normals: Of all base vertices (V, 3).
        chart: Of all base vertices (V, 4).
    """
    # A vertex on a seam has several uvs: it becomes as many points.
    corners, triangles = np.unique(faces.reshape(-1, 2), axis=0, return_inverse=True)
    source, uv = corners.T
    return Part(
        material=material,
        points=points[source],
        normals=normals[source],
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        weights=load_skeleton().weights[source],
        source=source,
        uvs=load_base().uvs[uv],
        chart=chart[source],
    )
