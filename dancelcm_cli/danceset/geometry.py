"""Rotations, and the few other curves and shapes that bodies, dances and cameras are made of.

Positions are in decimetres, right-handed: x to the dancer's left, y up, z to the front. Rotations
are matrices (..., 3, 3) that turn column vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

X, Y, Z = np.eye(3)


def turn(axis: ArrayLike, angles: ArrayLike) -> Floats:
    """Return the rotations (..., 3, 3) by `angles` (...) radians about the vector `axis` (3,)."""
    x, y, z = np.asarray(axis) / max(float(np.linalg.norm(axis)), 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])  # of the axis with what it is applied to
    wide = np.asarray(angles)[..., None, None]
    rotations: Floats = np.eye(3) + np.sin(wide) * cross + (1 - np.cos(wide)) * (cross @ cross)
    return rotations


def turn_onto(start: Floats, end: Floats) -> Floats:
    """Return the smallest rotation (3, 3) that turns the vector `start` to the one of `end`."""
    axis = np.cross(start, end)
    return turn(axis, np.arctan2(np.linalg.norm(axis), start @ end))


def between(first: Floats, second: Floats, share: float) -> Floats:
    """Return the rotations (..., 3, 3) that lie `share` (0 to 1) of the way to `second`."""
    left, _, right = np.linalg.svd((1 - share) * first + share * second)
    rotations: Floats = left @ right
    return rotations


def smoothstep(low: ArrayLike, high: ArrayLike, values: ArrayLike) -> Floats:
    """Return 0 below `low`, 1 above `high`, and GLSL's smooth cubic in between."""
    span = np.asarray(high) - np.asarray(low)
    share: Floats = np.clip((np.asarray(values) - np.asarray(low)) / span, 0, 1)
    return share * share * (3 - 2 * share)


def unit(vectors: Floats) -> Floats:
    """Return `vectors` (..., 3) at length 1, and zeros as they are."""
    lengths: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-9)


def vertex_normals(vertices: Floats, triangles: Ints) -> Floats:
    """Return the unit normals (V, 3) of a mesh of `vertices` (V, 3) and `triangles` (T, 3).

    A vertex gets the mean of the triangles about it, each weighted by its area; one of no triangle
    gets zeros.
    """
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    faces = np.cross(b - a, c - a)
    corners = triangles.T.ravel()
    sums = [
        np.bincount(corners, np.tile(faces[:, axis], 3), minlength=len(vertices))
        for axis in range(3)
    ]
    return unit(np.stack(sums, axis=-1)).astype(vertices.dtype)
