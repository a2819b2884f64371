"""MakeHuman's default rig: 163 bones, where their joints lie in a body, and what follows them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from dancelcm_cli.danceset.geometry import Floats, Ints
from dancelcm_cli.danceset.makehuman import data_folder, load_base

ARMS = ("upperarm01.L", "upperarm01.R")
FEET = ("foot.L", "foot.R")
HEAD = ("head",)


@dataclass(frozen=True)
class Skeleton:
    """The bones, parents before their children."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    heads: tuple[Ints, ...]  # of each bone: the base vertices whose mean is its joint
    weights: Floats  # (V, B) how far each base vertex follows each bone; rows sum to 1

    def index(self, name: str) -> int:
        """Return the number of the bone called `name`."""
        return self.names.index(name)

    def joints(self, vertices: Floats) -> Floats:
        """Return the joints (B, 3) of a body whose rest shape is `vertices` (V, 3)."""
        return np.stack([vertices[ids].mean(axis=0) for ids in self.heads])

    def share(self, roots: tuple[str, ...]) -> Floats:
        """Return how far, 0 to 1, each base vertex (V,) follows the bones `roots` and below."""
        below = np.zeros(len(self.names), bool)
        for bone, (name, parent) in enumerate(zip(self.names, self.parents, strict=True)):
            below[bone] = name in roots or (parent >= 0 and below[parent])
        share: Floats = self.weights[:, below].sum(axis=1)
        return share


@cache
def load_skeleton() -> Skeleton:
    """Return the rig."""
    folder = data_folder() / "rigs" / "standard"
    rig = json.loads((folder / "rig.default.json").read_text())
    weights = json.loads((folder / "weights.default.json").read_text())["weights"]
    names = _sorted_names(rig)
    return Skeleton(
        names=names,
        parents=tuple(
            names.index(rig[name]["parent"]) if rig[name]["parent"] else -1 for name in names
        ),
        heads=tuple(_vertices(rig[name]["head"]) for name in names),
        weights=_dense(weights, names),
    )


def skinning(joints: Floats, rotations: Floats, positions: Floats) -> Floats:
    """Return what each bone does to a point, as matrices (B, 3, 4).

    Args:
        joints: The joints (B, 3) at rest.
        rotations: Of each bone against its rest (B, 3, 3), in world axes.
        positions: Where the joints are now (B, 3).
    """
    moved = positions - np.einsum("bij,bj->bi", rotations, joints)
    return np.concatenate([rotations, moved[:, :, None]], axis=2).astype(np.float32)


def skin(points: Floats, weights: Floats, bones: Floats) -> tuple[Floats, Floats]:
    """Return `points` (N, 3) moved by `bones` (B, 3, 4), and the matrices (N, 3, 3) that turn them.

    `weights` (N, B) says how far each point follows each bone.
    """
    blended = (weights @ bones.reshape(len(bones), 12)).reshape(-1, 3, 4)
    turned = np.einsum("nij,nj->ni", blended[:, :, :3], points)
    return turned + blended[:, :, 3], blended[:, :, :3]


def _sorted_names(rig: dict[str, Any]) -> tuple[str, ...]:
    """Return the bones so that each comes after its parent."""
    names: list[str] = []
    waiting = [name for name in rig if not rig[name]["parent"]]
    while waiting:
        names.append(waiting.pop())
        waiting += [name for name in rig if rig[name]["parent"] == names[-1]]
    return tuple(names)


def _vertices(place: dict[str, Any]) -> Ints:
    if place["strategy"] == "CUBE":
        return load_base().cubes[place["cube_name"]]
    ids = [place["vertex_index"]] if place["strategy"] == "VERTEX" else place["vertex_indices"]
    return np.array(ids)


def _dense(weights: dict[str, list[list[float]]], names: tuple[str, ...]) -> Floats:
    dense = np.zeros((len(load_base().vertices), len(names)), np.float32)
    for name, rows in weights.items():
        pairs = np.array(rows).reshape(-1, 2)
        dense[pairs[:, 0].astype(int), names.index(name)] = pairs[:, 1]
    normalised: Floats = dense / dense.sum(axis=1, keepdims=True)
    return normalised
