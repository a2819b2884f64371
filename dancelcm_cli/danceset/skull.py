"""The shape of a head under its hair, and where the hair ends on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dancelcm_cli.danceset.geometry import Floats, Y, unit
from dancelcm_cli.danceset.makehuman import NUM_BODY_VERTICES, read_target
from dancelcm_cli.danceset.person import Hair
from dancelcm_cli.danceset.skeleton import HEAD, load_skeleton

HAIRLINE_HEIGHT = 2.55  # above the eyes, in half eye distances
CROWN = unit(np.array([0, 1, -1.25]))  # upright on the hairline's plane
EDGE = 0.3  # dm beyond the hairline that are measured, too


@dataclass(frozen=True)
class Skull:
    """The scalp without the ears, seen from the middle of the head."""

    centre: Floats  # (3,)
    directions: Floats  # (N, 3)
    radii: Floats  # (N,)

    def radius(self, directions: Floats) -> Floats:
        """Return how far the surface is from the centre along unit `directions` (..., 3)."""
        nearness = np.clip(1 - directions @ self.directions.T, 1e-6, None) ** -3
        radii: Floats = (nearness @ self.radii) / nearness.sum(axis=-1)
        return radii


def find_hairline(hair: Hair, joints: Floats) -> Floats:
    """Return the point (3,) above the eyes where the plane of the hairline passes.

    Args:
        hair: That ends there.
        joints: The body's joints (B, 3) at rest.
    """
    left, right = (joints[load_skeleton().index(f"eye.{side}")] for side in "LR")
    scale = float(left[0] - right[0]) / 2
    point: Floats = (left + right) / 2 + scale * (HAIRLINE_HEIGHT + hair.hairline) * Y
    return point


def measure_skull(vertices: Floats, joints: Floats, hairline: Floats) -> Skull:
    """Return the skull of a body.

    Args:
        vertices: The body's rest shape (V, 3).
        joints: Its joints (B, 3) at rest.
        hairline: A point (3,) of the hairline's plane.
    """
    scalp = load_skeleton().share(HEAD) > 0.9
    scalp[NUM_BODY_VERTICES:] = False
    for side in "lr":
        ear = read_target(f"ears/{side}-ear-scale-incr")
        if ear is not None:
            scalp[ear.vertices] = False
    scalp &= (vertices - hairline) @ CROWN > -EDGE
    shell = vertices[scalp]
    eyes = joints[load_skeleton().index("eye.L"), 1]
    above = shell[shell[:, 1] > eyes]
    centre = (above.min(axis=0) + above.max(axis=0)) / 2
    centre[1] = eyes + 0.35 * (above[:, 1].max() - eyes)
    rays = shell - centre
    return Skull(centre, unit(rays), np.linalg.norm(rays, axis=1))
