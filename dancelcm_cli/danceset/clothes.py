"""Clothes and shoes: MakeHuman's shells about the body, made wider.

Which parts of a shell are worn is left to the shaders (`shaders/garments.glsl`), which cut it by
the body coordinates of `parts.body_chart`.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dancelcm_cli.danceset.geometry import Floats, Ints, smoothstep
from dancelcm_cli.danceset.makehuman import NUM_BODY_VERTICES, load_base, mesh_normals
from dancelcm_cli.danceset.outfit import Outfit, Shoes
from dancelcm_cli.danceset.parts import Material, Part, base_part
from dancelcm_cli.danceset.skeleton import FEET, load_skeleton

SMOOTHING_ROUNDS = 6  # of the shell that clothes are cut from: cloth spans what skin follows
SOLE_HEIGHT = 0.16  # dm, of the part of a shoe that touches the floor


def make_clothes(outfit: Outfit, vertices: Floats, chart: Floats) -> list[Part]:
    """Return the surfaces of `outfit`.

    Args:
        outfit: What is worn.
        vertices: The body's rest shape (V, 3).
        chart: The body coordinates (V, 4).
    """
    faces = load_base().faces
    tights, skirt = faces["helper-tights"], faces["helper-skirt"]
    shell = _smoothed(vertices)
    normals = mesh_normals(shell)
    loose = shell + normals * _looseness(outfit, chart)[:, None]
    shod = _shod_faces(outfit.shoes, tights, chart)
    shoes = _shoe_points(outfit.shoes, vertices)
    parts = [
        base_part(Material.CLOTH, tights, loose, normals, chart),
        base_part(Material.SHOE, shod, shoes, mesh_normals(shoes), chart),
    ]
    if outfit.bottom.skirt_hem is not None:
        wide = vertices + 0.04 * mesh_normals(vertices)
        parts.append(base_part(Material.SKIRT, skirt, wide, mesh_normals(wide), chart))
    return parts


def floor_height(vertices: Floats) -> float:
    """Return how low the bare feet of a body (V, 3) reach."""
    body = slice(0, NUM_BODY_VERTICES)
    feet = load_skeleton().share(FEET)[body] > 0.5
    return float(vertices[body][feet, 1].min())


def _looseness(outfit: Outfit, chart: Floats) -> Floats:
    """Return how far (V,) in dm cloth stands off the shell: little where it is under a skirt."""
    top, bottom = outfit.top, outfit.bottom
    height, leg = chart[:, 2], chart[:, 0] < 0.5
    flare = bottom.flare * smoothstep(0.45, bottom.hem, height) * leg
    if bottom.skirt_hem is None:
        return outfit.looseness + flare
    under = leg * smoothstep(top.hem + 0.03, top.hem - 0.03, height)
    return outfit.looseness * (1 - under)


def _shod_faces(shoes: Shoes, tights: Ints, chart: Floats) -> Ints:
    """Return the faces (T,) of the tights that a shoe may cover; its shader cuts the collar."""
    corners = chart[tights[..., 0]]
    near = (corners[..., 2] < shoes.collar + 0.05) & (corners[..., 0] < 0.5)
    return tights[near.all(axis=1)]


def _shoe_points(shoes: Shoes, vertices: Floats) -> Floats:
    """Return the base vertices (V, 3), in the feet widened to shoes on flat soles."""
    feet, lowest = load_skeleton().share(FEET) > 0.5, floor_height(vertices)
    sole = smoothstep(SOLE_HEIGHT, 0, vertices[:, 1] - lowest) * feet
    points = vertices + mesh_normals(vertices) * (0.05 + 0.05 * sole)[:, None]
    points[:, 1] = np.where(sole > 0.3, lowest - shoes.sole_thickness, points[:, 1])
    return points.astype(np.float32)


def _smoothed(vertices: Floats) -> Floats:
    """Return `vertices` (V, 3) with those of the tights drawn towards their neighbours' mean."""
    smooth = vertices.copy()
    starts, ends, counts = _tights_edges()
    inner = counts > 0
    for _ in range(SMOOTHING_ROUNDS):
        sums = [
            np.bincount(starts, smooth[ends, axis], minlength=len(vertices)) for axis in range(3)
        ]
        mean = np.stack(sums, axis=-1)[inner] / counts[inner, None]
        smooth[inner] = (smooth[inner] + mean) / 2
    return smooth


@cache
def _tights_edges() -> tuple[Ints, Ints, Ints]:
    """Return both ends of each edge, in both directions, and how many edges each vertex has."""
    corners = load_base().faces["helper-tights"][..., 0]
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    counts = np.bincount(edges[:, 0], minlength=len(load_base().vertices))
    return edges[:, 0], edges[:, 1], counts
