"""Where a video's keypoints come from: exact ones beside it, or a detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import PreprocessConfig
from dancelcm_cli.data.detector_weights import detector_folder
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

    device: str
    """Where a detector runs, "cpu" or "cuda"; empty where the keypoints are read."""


class PoseFinder:
    """Chooses per video; the detector is loaded when the first video needs it.

    "auto" takes the annotation beside a video (clip.mp4: clip.npz) where there is one and the
    detector elsewhere; "annotation" insists on it; any other name is the detector's.

    Args:
        config: Its `pose_detector` and `person` apply.
        detector: The detector's name, also where the choice is "auto".
        device: Where it is to run, "cpu" or "cuda".
    """

    def __init__(self, config: PreprocessConfig, detector: str, device: str = "cpu") -> None:
        self._choice, self._person = config.pose_detector, config.person
        self._name, self._device = detector, device

    def of_video(self, footage: Footage) -> Poses:
        """Return how to find the poses of one video.

        Raises:
            InputError: Its annotation is missing, damaged or of another length.
        """
        annotation = self._annotation(footage)
        if annotation is not None:
            return Poses(lambda window, _: annotation[list(window.indices)], lambda _: 1, "")
        detector = self._detector
        return Poses(
            lambda _, frames: detector.detect(frames, self._person),
            detector.count_people,
            detector.device,
        )

    def _annotation(self, footage: Footage) -> Keypoints | None:
        if self._choice not in ("auto", "annotation"):
            return None
        path = annotation_path(footage.path)
        if path is None:
            if self._choice == "auto":
                return None
            raise InputError(
                f"{footage.path} must have its annotation beside it, but there is no"
                f" {footage.path.absolute().stem}.npz.",
                hint="Pass --pose-detector auto to have the keypoints detected.",
            )
        annotated = read_annotation(path, footage.height, footage.width)
        if len(annotated) != footage.num_frames:
            raise InputError(
                f"{path} must annotate {footage.num_frames} frames, got {len(annotated)}.",
                hint="Move the file away to have the keypoints detected instead.",
            )
        return annotated

    @cached_property
    def _detector(self) -> PoseDetector:
        return load_detector(self._name, detector_folder(self._name), self._device)
