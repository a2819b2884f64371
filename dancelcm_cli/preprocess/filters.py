"""Why a video, or a window of it, does not become a clip: each rule a pure function.

A rule looks at frames, keypoints or lengths and returns a `Rejection`, or None for what may stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.perception.keypoints import BODY, SEEN_THRESHOLD, body_confidence

Frames = NDArray[np.uint8]
Keypoints = NDArray[np.float32]
Reason = Literal[
    "unreadable",
    "duplicate",
    "no_keypoints",
    "too_short",
    "tail",
    "camera_cut",
    "low_motion",
    "no_person",
    "low_confidence",
    "several_people",
]

CUT_SIDE = 32  # pixels: cuts change the whole picture, so a tiny one shows them
MOTION_SIDE = 64  # pixels: noise is averaged away, limbs are still seen


@dataclass(frozen=True)
class Rejection:
    """Why something is left out, and the figure that decided it."""

    reason: Reason
    detail: str


def too_short(num_frames: int, needed: int, is_tail: bool) -> Rejection | None:
    """Reject what has less frames than a window needs: a whole video, or the tail of one."""
    if num_frames >= needed:
        return None
    return Rejection("tail" if is_tail else "too_short", f"{num_frames} frames of {needed}")


def camera_cut(frames: Frames, threshold: float) -> Rejection | None:
    """Reject a window in which one picture is followed by quite another one.

    Args:
        frames: (F, H, W, 3) uint8 RGB.
        threshold: By how much the largest mean difference of neighbouring frames, pixels in [0, 1],
            may exceed the median one. So neither a moving camera nor a quick dance is a cut.
    """
    if len(frames) < 2:
        return None
    levels = _shrunk(frames, CUT_SIDE) / 255
    jumps = np.abs(np.diff(levels, axis=0)).mean(axis=(1, 2, 3))
    place = int(np.argmax(jumps))
    # The zero keeps the cut itself out of the median where there are but one or two jumps.
    excess = float(jumps[place]) - median_low([0.0, *jumps.tolist()])
    if excess <= threshold:
        return None
    return Rejection("camera_cut", f"before its frame {place + 1}, a jump of {excess:.3f}")


def low_motion(frames: Frames, level: float, least: float) -> Rejection | None:
    """Reject a window in which next to nothing moves.

    Args:
        frames: (F, H, W, 3) uint8 RGB.
        level: Change in any channel, from any frame to any other, above which a place moves; pixels
            span [-1, 1], as for `motion_mask`.
        least: Share of the picture that must move, [0, 1].
    """
    levels = _shrunk(frames, MOTION_SIDE)
    change = (levels.max(axis=0) - levels.min(axis=0)).max(axis=-1) * (2 / 255)
    share = float((change > level).mean())
    if share >= least:
        return None
    return Rejection("low_motion", f"{share:.1%} of the picture moves")


def no_person(keypoints: Keypoints, least: float) -> Rejection | None:
    """Reject a window (F, 134, 3) of which less than the share `least` of the frames shows anybody.

    A frame shows somebody if at least one body point is seen.
    """
    shown = int((keypoints[:, BODY, 2].max(axis=1) > SEEN_THRESHOLD).sum())
    if shown >= least * len(keypoints):
        return None
    return Rejection("no_person", f"somebody in {shown} of {len(keypoints)} frames")


def low_confidence(keypoints: Keypoints, least: float) -> Rejection | None:
    """Reject a window (F, 134, 3) whose mean body score is below `least`."""
    confidence = body_confidence(keypoints)
    if confidence >= least:
        return None
    return Rejection("low_confidence", f"mean body score {confidence:.2f}")


def several_people(counts: Sequence[int], most: int) -> Rejection | None:
    """Reject a window in which more than `most` people are seen; 0 allows any number.

    `counts` are those of some of its frames; their median decides, so that one slip of the detector
    does not.
    """
    people = median_low(counts)
    if most == 0 or people <= most:
        return None
    return Rejection("several_people", f"{people} people")


def _shrunk(frames: Frames, side: int) -> NDArray[np.float32]:
    """Return frames (F, H, W, 3) as (F, side, side, 3), each pixel the mean of those it covers."""
    size = (side, side)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.float32)
