"""What becomes of each part of a video: a clip, or a row that tells which rule it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from dancelcm_cli.config.schema import PreprocessConfig
from dancelcm_cli.data.footage import Footage
from dancelcm_cli.perception.keypoints import NUM_KEYPOINTS
from dancelcm_cli.preprocess.filters import (
    Frames,
    Keypoints,
    Rejection,
    camera_cut,
    low_confidence,
    low_motion,
    no_person,
    several_people,
    too_short,
)
from dancelcm_cli.preprocess.poses import Poses
from dancelcm_cli.preprocess.windows import Plan, Window


@dataclass(frozen=True)
class Screened:
    """A part of a video, what was seen in it and why it is left out, if it is."""

    window: Window
    frames: Frames  # (F, H, W, 3) uint8 RGB
    keypoints: Keypoints  # (F, 134, 3); nothing is seen where an earlier rule spared the search
    rejection: Rejection | None


def screen_footage(
    footage: Footage,
    plan: Plan,
    poses: Poses,
    config: PreprocessConfig,
    wanted: Callable[[Window], bool] = lambda window: True,
) -> Iterator[Screened]:
    """Yield those windows of the plan that are `wanted`, then the tail; one is held at a time.

    Raises:
        InputError: A frame is damaged.
    """
    windows = [window for window in plan.windows if wanted(window)]
    parts = windows if plan.tail is None else [*windows, plan.tail]
    stream = footage.frames([index for part in parts for index in part.indices])
    for part in parts:
        frames = np.stack(list(islice(stream, len(part))))
        rejection = too_short(len(part), config.num_frames, is_tail=bool(plan.windows))
        if rejection is None:
            yield screen_window(part, frames, poses, config)
        else:
            yield Screened(part, frames, _unseen(part), rejection)


def screen_window(
    window: Window, frames: Frames, poses: Poses, config: PreprocessConfig
) -> Screened:
    """Judge the frames (F, H, W, 3) of a window; the rules come in order of their cost."""
    rejection = camera_cut(frames, config.cut_threshold) or low_motion(
        frames, config.motion_threshold, config.min_motion
    )
    if rejection is not None:
        return Screened(window, frames, _unseen(window), rejection)
    keypoints = poses.find(window, frames)
    rejection = no_person(keypoints, config.min_person_share) or low_confidence(
        keypoints, config.min_confidence
    )
    if rejection is None and config.max_people:
        looks = frames[[0, len(frames) // 2, -1]]
        rejection = several_people([poses.count(frame) for frame in looks], config.max_people)
    return Screened(window, frames, keypoints, rejection)


def _unseen(window: Window) -> Keypoints:
    return np.zeros((len(window), NUM_KEYPOINTS, 3), np.float32)
