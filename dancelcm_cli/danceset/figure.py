"""A person as what is drawn: skin, clothes, shoes, eyes and hair, and how they move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dancelcm_cli.danceset.clothes import make_clothes
from dancelcm_cli.danceset.expression import moved_vertices
from dancelcm_cli.danceset.geometry import Floats, Ints, unit
from dancelcm_cli.danceset.hair import make_hair
from dancelcm_cli.danceset.makehuman import load_base, mesh_normals
from dancelcm_cli.danceset.parts import FREE, Material, Part, base_part, body_chart
from dancelcm_cli.danceset.person import Person
from dancelcm_cli.danceset.skeleton import skin

HAIR_GAP = 0.06  # dm between clothes and hair that falls over them
FACE_PARTS = (
    ("helper-l-eye", Material.EYE),
    ("helper-r-eye", Material.EYE),
    ("helper-upper-teeth", Material.TEETH),
    ("helper-lower-teeth", Material.TEETH),
    ("helper-tongue", Material.TONGUE),
    *((f"helper-{side}-eyelashes-{row}", Material.LASH) for side in "lr" for row in (1, 2)),
)


@dataclass(frozen=True)
class Figure:
    """All parts of a person in one list of points."""

    parts: tuple[Part, ...]
    points: Floats  # (N, 3) at rest
    normals: Floats  # (N, 3) at rest
    weights: Floats  # (N, B)
    faces: Ints  # (M,) the points that expressions move
    face_rows: Ints  # (M,) and the rows of the expression's offsets that move them

    def at(self, bones: Floats, expression: Floats) -> tuple[Floats, Floats]:
        """Return the points (N, 3) and normals (N, 3) of one frame.

        Args:
            bones: What each bone does, as matrices (B, 3, 4).
            expression: How far (E, 3) the `moved_vertices` are moved.
        """
        points = self.points.copy()
        points[self.faces] += expression[self.face_rows]
        points, turns = skin(points, self.weights, bones)
        return points, unit(np.einsum("nij,nj->ni", turns, self.normals))


def make_figure(person: Person, vertices: Floats, joints: Floats) -> Figure:
    """Return what `person` looks like, at rest `vertices` (V, 3) with `joints` (B, 3)."""
    base, chart = load_base(), body_chart(vertices, joints)
    normals = mesh_normals(vertices)
    parts = [base_part(Material.SKIN, base.faces["body"], vertices, normals, chart)]
    parts += make_clothes(person.outfit, vertices, chart)
    parts += [
        base_part(material, base.faces[group], vertices, normals, chart)
        for group, material in FACE_PARTS
    ]
    clearance = person.outfit.looseness + HAIR_GAP
    parts += make_hair(person.hair, vertices, normals, joints, clearance)
    source = np.concatenate([part.source for part in parts])
    moved = moved_vertices()
    rows = np.searchsorted(moved, source).clip(0, len(moved) - 1)
    faces = np.flatnonzero((source != FREE) & (moved[rows] == source))
    return Figure(
        parts=tuple(parts),
        points=np.concatenate([part.points for part in parts]).astype(np.float32),
        normals=np.concatenate([part.normals for part in parts]).astype(np.float32),
        weights=np.concatenate([part.weights for part in parts]),
        faces=faces,
        face_rows=rows[faces],
    )
