"""Where a video's keypoints come from: exact ones beside it, or a detector."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Detector
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import VideoInfo
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.keypoints import (
    PoseDetector,
    annotation_path,
    load_detector,
    read_annotation,
)
from dancelcm_cli.preprocess.sources import Window

Keypoints = NDArray[np.float32]
# Given a window and its frames (F, H, W, 3), returns the keypoints (F, 134, 3) in them.
FindPoses = Callable[[Window, NDArray[np.uint8]], Keypoints]


class PoseFinder:
    """Chooses per video; the detector is loaded when the first video needs it.

    `auto` takes the annotation beside a video (clip.mp4: clip.npz) where there is one and detects
    elsewhere; `annotation` insists on it; any other name is a detector's.
    """

    def __init__(self, choice: Detector) -> None:
        self.choice = choice

    def of_video(self, info: VideoInfo) -> FindPoses | None:
        """Return how to find the poses of one video; None where its annotation is missing.

        Raises:
            InputError: Its annotation is damaged or of another length.
        """
        path = None if self.choice == "blazepose" else annotation_path(info.path)
        if path is not None:
            annotated = read_annotation(path, info.height, info.width)
            if len(annotated) != info.num_frames:
                raise InputError(
                    f"{path} must annotate {info.num_frames} frames, got {len(annotated)}.",
                    hint="Move the file away to have the keypoints detected instead.",
                )
            return lambda window, frames: annotated[list(window.indices)]
        if self.choice == "annotation":
            return None
        return lambda window, frames: self._detector.detect(frames)

    @cached_property
    def _detector(self) -> PoseDetector:
        name = "blazepose" if self.choice == "auto" else self.choice
        return load_detector(name, bundled(name))
