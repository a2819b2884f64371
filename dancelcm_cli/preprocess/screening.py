"""What becomes of each part of a video: a clip, or a row that tells which rule it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median_low

import numpy as np

from dancelcm_cli.config.schema import PreprocessConfig
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
from dancelcm_cli.preprocess.stopwatch import Stopwatch
from dancelcm_cli.preprocess.windows import Window


@dataclass(frozen=True)
class Screened:
    """A part of a video, what was seen in it and why it is left out, if it is."""

    window: Window
    frames: Frames  # (F, H, W, 3) uint8 RGB
    keypoints: Keypoints  # (F, 134, 3); nothing is seen where an earlier rule spared the search
    people: int  # that are seen at a time; 0 where they were not counted
    rejection: Rejection | None


def screen_windows(
    frames: Iterator[Frames],
    windows: Sequence[Window],
    poses: Poses,
    config: PreprocessConfig,
    watch: Stopwatch,
) -> Iterator[Screened]:
    """Yield the windows of a video, the last of which may be its tail; one is held at a time.

    Args:
        frames: Those of all the windows, one after the other, (H, W, 3).
        windows: Which frames these are.
        poses: How to find the person in them.
        config: The thresholds.
        watch: Told what each step took.

    Raises:
        InputError: A frame is damaged.
    """
    for window in windows:
        with watch.of("decode", len(window)):
            clip = np.stack(list(islice(frames, len(window))))
        rejection = too_short(len(window), config.num_frames, is_tail=window.start > 0)
        if rejection is None:
            yield screen_window(window, clip, poses, config, watch)
        else:
            yield Screened(window, clip, _unseen(window), 0, rejection)


def screen_window(
    window: Window, frames: Frames, poses: Poses, config: PreprocessConfig, watch: Stopwatch
) -> Screened:
    """Judge the frames (F, H, W, 3) of a window; the rules come in order of their cost."""
    with watch.of("judge", len(window)):
        rejection = camera_cut(frames, config.cut_threshold) or low_motion(
            frames, config.motion_threshold, config.min_motion
        )
    if rejection is not None:
        return Screened(window, frames, _unseen(window), 0, rejection)
    with watch.of("detect", len(window)):
        keypoints = poses.find(window, frames)
        rejection = no_person(keypoints, config.min_person_share) or low_confidence(
            keypoints, config.min_confidence
        )
        if rejection is not None:
            return Screened(window, frames, keypoints, 0, rejection)
        counts = [poses.count(frame) for frame in frames[[0, len(frames) // 2, -1]]]
    rejection = several_people(counts, config.max_people)
    return Screened(window, frames, keypoints, median_low(counts), rejection)


def _unseen(window: Window) -> Keypoints:
    return np.zeros((len(window), NUM_KEYPOINTS, 3), np.float32)
