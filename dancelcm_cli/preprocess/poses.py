"""Where a video's keypoints come from: exact ones beside it, or a detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Detector
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.footage import Footage
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.keypoints import (
    PoseDetector,
    annotation_path,
    load_detector,
    read_annotation,
)
from dancelcm_cli.preprocess.windows import Window

Keypoints = NDArray[np.float32]


@dataclass(frozen=True)
class Poses:
    """How to find the poses of one video."""

    find: Callable[[Window, NDArray[np.uint8]], Keypoints]
    """Given a window and its frames (F, H, W, 3), returns the keypoints (F, 134, 3) in them."""

    count: Callable[[NDArray[np.uint8]], int]
    """Given a frame (H, W, 3), returns how many people it shows; an annotation knows of one."""


class PoseFinder:
    """Chooses per video; the detector is loaded when the first video needs it.

    `auto` takes the annotation beside a video (clip.mp4: clip.npz) where there is one and detects
    elsewhere; `annotation` insists on it; any other name is a detector's.
    """

    def __init__(self, choice: Detector) -> None:
        self.choice = choice

    def of_video(self, footage: Footage) -> Poses | None:
        """Return how to find the poses of one video; None where its annotation is missing.

        Raises:
            InputError: Its annotation is damaged or of another length.
        """
        path = annotation_path(footage.path) if self.choice in ("auto", "annotation") else None
        if path is not None:
            annotated = read_annotation(path, footage.height, footage.width)
            if len(annotated) != footage.num_frames:
                raise InputError(
                    f"{path} must annotate {footage.num_frames} frames, got {len(annotated)}.",
                    hint="Move the file away to have the keypoints detected instead.",
                )
            return Poses(lambda window, frames: annotated[list(window.indices)], lambda frame: 1)
        if self.choice == "annotation":
            return None
        return Poses(
            lambda window, frames: self._detector.detect(frames),
            lambda frame: self._detector.count_people(frame),
        )

    @cached_property
    def _detector(self) -> PoseDetector:
        name = "blazepose" if self.choice == "auto" else self.choice
        return load_detector(name, bundled(name))
