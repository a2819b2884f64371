"""The 134 keypoints of a body, in the order of `perception/keypoints.py`, and which are seen."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.danceset.camera import Camera
from dancelcm_cli.danceset.geometry import Floats, Ints
from dancelcm_cli.danceset.makehuman import load_base

NOSE = (279, 7048, 7050, 281)  # vertices about the place that COCO's annotators click
EARS = {"l": (12114, 12131), "r": (5515, 5532)}
HEELS = {"l": (12442, 12815, 12912), "r": (5845, 6218, 6315)}
# fmt: off
FACE_68 = (  # a vertex each, in iBUG's order; left and right mirror each other
    5405, 5763, 5246, 5241, 5299, 5298, 5210, 5215, 5211, 11825, 11821, 11903, 11904, 11850, 11854,
    12360, 12004, 716, 715, 714, 3747, 236, 7008, 10415, 7437, 7438, 7439, 169, 135, 164, 5134,
    321, 313, 312, 7076, 7083, 1141, 6, 54, 4871, 47, 36, 11489, 6838, 6790, 7833, 6820, 6831,
    3731, 5354, 450, 455, 7210, 11956, 10399, 7166, 7241, 492, 486, 406, 420, 470, 474, 7226, 7180,
    7236, 493, 481,
)
# How far in dm a point may lie behind the surface that the camera sees and still count as seen:
# joints lie inside the body, and hips deeper than wrists.
TOLERANCES = np.array([
    0.9, 1.3, 1.3, 0.9, 0.7, 1.3, 0.9, 0.7, 2.2, 1.3, 1.0, 2.2, 1.3, 1.0, 0.6, 0.6, 0.9, 0.9,
    *[1.2] * 6, *[0.25] * 68, *[0.4] * 42,
])
# fmt: on


@cache
def keypoint_weights() -> tuple[Ints, Floats]:
    """Return the base vertices (U,) that keypoints depend on, and how (134, U): rows sum to 1."""
    groups = [np.asarray(ids) for ids in _groups()]
    used = np.unique(np.concatenate(groups))
    weights = np.zeros((len(groups), len(used)), np.float32)
    for row, ids in zip(weights, groups, strict=True):
        row[np.searchsorted(used, ids)] = 1 / len(ids)
    return used, weights


def visible_points(
    pixels: Floats, depths: Floats, scene: Floats, camera: Camera
) -> NDArray[np.bool_]:
    """Return which keypoints (134,) are inside the frame and not hidden behind something.

    Args:
        pixels: Where they are (134, 2).
        depths: How far away (134,) in dm.
        scene: How far away (H, W) in dm is what each pixel shows.
        camera: That took the picture.
    """
    x, y = np.floor(pixels).astype(int).T
    inside = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    surface = scene[y.clip(0, camera.height - 1), x.clip(0, camera.width - 1)]
    visible: NDArray[np.bool_] = inside & (depths < surface + TOLERANCES)
    return visible


def _groups() -> list[tuple[int, ...] | Ints]:
    """Return, of each keypoint, the vertices whose mean it is."""
    cubes = load_base().cubes

    def joint(name: str) -> Ints:
        return cubes[f"joint-{name}"]

    shoulders = np.concatenate([joint("l-shoulder"), joint("r-shoulder")])
    arms = [joint(f"{side}-{part}") for side in "rl" for part in ("shoulder", "elbow", "hand")]
    legs = [joint(f"{side}-{part}") for side in "rl" for part in ("upper-leg", "knee", "ankle")]
    eyes = [np.unique(load_base().faces[f"helper-{side}-eye"][..., 0]) for side in "rl"]
    feet = [
        point for s in "lr" for point in (joint(f"{s}-toe-1-3"), joint(f"{s}-toe-5-4"), HEELS[s])
    ]
    hands = [point for side in "lr" for point in _hand(side)]
    face = [(vertex,) for vertex in FACE_68]
    return [NOSE, shoulders, *arms, *legs, *eyes, EARS["r"], EARS["l"], *feet, *face, *hands]


def _hand(side: str) -> list[Ints]:
    cubes = load_base().cubes
    fingers = [(finger, joint) for finger in range(1, 6) for joint in range(1, 5)]
    wrist = cubes[f"joint-{side}-hand"]
    return [wrist, *(cubes[f"joint-{side}-finger-{f}-{joint}"] for f, joint in fingers)]
