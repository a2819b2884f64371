"""Giving a driving dancer the proportions and the place of the person in the reference picture.

The figure is scaled as a whole and moved so that its neck meets the reference's; then every bone,
from the neck outwards, is stretched by a ratio of its own, and everything beyond it moves along.
The modes differ only in how they measure this `Fit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Alignment
from dancelcm_cli.perception.keypoints import (
    BODY,
    FACE,
    LEFT_HAND,
    RIGHT_HAND,
    SEEN_THRESHOLD,
)

Array = NDArray[np.float64]

NOSE, NECK = 0, 1
# fmt: off
PARENTS = {  # child: parent, of the 18 body points, from the neck outwards
    0: 1, 14: 0, 15: 0, 16: 14, 17: 15,
    2: 1, 3: 2, 4: 3, 5: 1, 6: 5, 7: 6,
    8: 1, 9: 8, 10: 9, 11: 1, 12: 11, 13: 12,
}
# fmt: on
FOLLOWERS = ((slice(18, 21), 13), (slice(21, 24), 10), (LEFT_HAND, 7), (RIGHT_HAND, 4))
HIPS = (8, 11)
# Bones that share a ratio, by their child: neck, head, shoulders, arms, hips, legs.
GROUPS = ((0,), (14, 15, 16, 17), (2, 5), (3, 6), (4, 7), HIPS, (9, 12), (10, 13))
STRETCH_LIMIT = 1.3  # a bone's ratio may differ by this factor from the whole figure's


@dataclass(frozen=True)
class Fit:
    """What turns the driving figure into the reference's; places in units of the coordinates."""

    scale: Array  # (2,) of the whole figure, along x and y
    driving_anchor: Array  # (2,) the place that is moved
    reference_anchor: Array  # (2,) onto this one
    stretch: Array  # (18,) ratio of the bone that ends in a body point, after `scale`
    face_parent: int  # the body point that the face moves with
    face_stretch: float  # ratio of the face points' distances from it


def align_keypoints(
    driving: NDArray[np.float32],
    reference: NDArray[np.float32],
    mode: Alignment = "robust",
    driving_aspect: float = 1.0,
    reference_aspect: float = 1.0,
) -> NDArray[np.float32]:
    """Return the driving keypoints (F, 134, 3) with the proportions of the reference (134, 3).

    Args:
        driving: keypoints of a clip; scores are passed on, unseen points stay unseen.
        reference: keypoints of the picture that is to move.
        mode: "first-frame" is UniAnimate's alignment, measured on the first driving frame and with
            x and y taken as they are; "robust" measures medians over the best-seen half of the
            frames and the longer of left and right (the other is foreshortened), in square pixels;
            "none" returns the driving keypoints.
        driving_aspect: width / height of the driving frames ("robust" only).
        reference_aspect: width / height of the reference picture ("robust" only).

    The result is in units of the reference picture's width and height, and finite whatever is
    missing: a bone that is not seen in both figures keeps the scale of the whole.
    """
    if mode == "none":
        return driving.copy()
    if mode == "first-frame":
        return _applied(_first_frame_fit(driving[0], reference), driving)
    driving, reference = driving.copy(), reference.copy()
    driving[..., 0] *= driving_aspect
    reference[..., 0] *= reference_aspect
    aligned = _applied(_robust_fit(driving, reference), driving)
    aligned[..., 0] /= reference_aspect
    return aligned


def _applied(fit: Fit, driving: NDArray[np.float32]) -> NDArray[np.float32]:
    points = driving[..., :2].astype(np.float64) * fit.scale
    seen = driving[..., 2:] > SEEN_THRESHOLD
    shift = np.empty_like(points)
    shift[:, NECK] = fit.reference_anchor - fit.driving_anchor * fit.scale

    def follow(children: slice, parent: int, stretch: float) -> None:
        origin = slice(parent, parent + 1)
        longer = (stretch - 1) * (points[:, children] - points[:, origin])
        known = seen[:, children] & seen[:, origin]
        shift[:, children] = shift[:, origin] + np.where(known, longer, 0)

    for child, parent in PARENTS.items():
        follow(slice(child, child + 1), parent, fit.stretch[child])
    for children, parent in FOLLOWERS:
        follow(children, parent, 1.0)
    follow(FACE, fit.face_parent, fit.face_stretch)
    aligned = driving.copy()
    aligned[..., :2] = points + shift
    return aligned


def _first_frame_fit(driving: NDArray[np.float32], reference: NDArray[np.float32]) -> Fit:
    """Measure as UniAnimate's `run_align_pose.py` does, on one driving pose (134, 3).

    Where a point is missing, or a figure turned its back, UniAnimate's ratio would be made of
    placeholders or negative: here it is 1 or positive.
    """
    ours, theirs = (pose[BODY, :2].astype(np.float64) for pose in (driving, reference))
    both = (driving[BODY, 2] > SEEN_THRESHOLD) & (reference[BODY, 2] > SEEN_THRESHOLD)

    def shoulders_and_torso(body: Array) -> tuple[float, float]:
        across = abs(body[5, 0] - body[2, 0]) if both[[2, 5]].all() else 0.0
        along = abs((body[[8, 11], 1] - body[[2, 5], 1]).mean())
        return across, along if both[[2, 5, 8, 11]].all() else 0.0

    scale = np.array(list(map(_ratio, shoulders_and_torso(theirs), shoulders_and_torso(ours))))
    our_lengths, their_lengths = _bone_lengths(driving[None], scale), _bone_lengths(reference[None])
    stretch = np.array(list(map(_ratio, their_lengths, our_lengths)))
    stretch[list(HIPS)] = 1.0  # UniAnimate leaves the hips where the scaled torso has them
    return Fit(scale, *_anchors(driving[None], reference), stretch, NECK, 1.0)


def _robust_fit(driving: NDArray[np.float32], reference: NDArray[np.float32]) -> Fit:
    """Measure over the best-seen half of a clip (F, 134, 3)."""
    confidence = driving[:, BODY, 2].mean(axis=1)
    driving = driving[confidence >= np.median(confidence)]
    ours, theirs = _bone_lengths(driving), _bone_lengths(reference[None])
    both = np.isfinite(ours) & np.isfinite(theirs)
    ratios = {
        group: _ratio(theirs[children].max(), ours[children].max())
        for group in GROUPS
        if (children := [child for child in group if both[child]])
    }
    scale = float(np.median(list(ratios.values()))) if ratios else 1.0
    stretch = np.ones(BODY.stop)
    for group, ratio in ratios.items():
        stretch[list(group)] = np.clip(ratio / scale, 1 / STRETCH_LIMIT, STRETCH_LIMIT)
    anchors = _anchors(driving, reference)
    return Fit(np.full(2, scale), *anchors, stretch, NOSE, float(stretch[14]))


def _bone_lengths(clip: NDArray[np.float32], scale: Array | float = 1.0) -> Array:
    """Return the median length of the bone ending in each body point (18,); NaN: never seen."""
    points, seen = clip[:, BODY, :2] * scale, clip[:, BODY, 2] > SEEN_THRESHOLD
    lengths = np.full(BODY.stop, np.nan)
    for child, parent in PARENTS.items():
        known = seen[:, child] & seen[:, parent]
        if known.any():
            bones = points[known, child] - points[known, parent]
            lengths[child] = np.median(np.linalg.norm(bones, axis=-1))
    return lengths


def _anchors(driving: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[Array, Array]:
    """Return the places (2,) that are to meet: the necks, or else the middles of what is seen."""
    seen = driving[:, BODY, 2] > SEEN_THRESHOLD
    both = seen.any(axis=0) & (reference[BODY, 2] > SEEN_THRESHOLD)
    if not both.any():
        return np.zeros(2), np.zeros(2)
    points = [NECK] if both[NECK] else np.flatnonzero(both).tolist()
    places = [np.median(driving[seen[:, point], point, :2], axis=0) for point in points]
    return np.mean(places, axis=0, dtype=np.float64), reference[points, :2].mean(
        axis=0, dtype=np.float64
    )


def _ratio(ours: float, theirs: float) -> float:
    """Return ours / theirs, or 1 where either has no length or is unknown (NaN)."""
    return ours / theirs if ours > 1e-6 and theirs > 1e-6 else 1.0
