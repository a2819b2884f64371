"""The 134 keypoints of a person, and where they come from: an annotation or a detector.

A pose is float32 (134, 3), a clip of them (F, 134, 3): x in frame widths, y in frame heights (0 to
1 inside the frame) and a score in [0, 1], 0 for a point that was not seen. The order is DWPose's:

    18 body   nose, neck, right shoulder, elbow, wrist, left shoulder, elbow, wrist,
              right hip, knee, ankle, left hip, knee, ankle, right and left eye, right and left ear
     6 feet   left big toe, small toe, heel, right big toe, small toe, heel
    68 face   iBUG order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67
    21 hand   left: wrist, then four points a finger from the thumb to the little finger
    21 hand   right
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Person
from dancelcm_cli.errors import ConfigError, InputError
from dancelcm_cli.perception.array_files import read_arrays

BODY = slice(0, 18)
FEET = slice(18, 24)
FACE = slice(24, 92)
LEFT_HAND = slice(92, 113)
RIGHT_HAND = slice(113, 134)
NUM_KEYPOINTS = 134

SEEN_THRESHOLD = 0.3  # a point with a higher score counts as seen (DWPose's choice)
HIDDEN_SCORE = 0.5  # of an annotated point behind something: detectors find such points as well
FARTHEST = 100.0  # frames from the picture: a point further away is a mistake
ANNOTATION = "the arrays `keypoints` and `visible`"
DETECT_INSTEAD = "Move the file away to have the keypoints detected instead."


class PoseDetector(Protocol):
    """Finds a person in every frame of a clip."""

    @property
    def name(self) -> str:
        """What the detector is called in recipes and records."""
        ...

    @property
    def device(self) -> str:
        """Where it really runs: "cpu" or "cuda"."""
        ...

    def detect(
        self,
        frames: NDArray[np.uint8],
        person: Person = "largest",
        before: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return the keypoints (F, 134, 3) of consecutive RGB frames (F, H, W, 3).

        `person` says who it is where several are seen: "largest", "center" or a number, counted
        from the left. Where `frames` go on with a clip, `before` (134, 3) is the pose in which the
        person was seen last: whoever is alike comes before whoever `person` says. A frame without
        that person has scores of 0 throughout.
        """
        ...

    def count_people(self, frame: NDArray[np.uint8]) -> int:
        """Return how many people are seen in an RGB frame (H, W, 3)."""
        ...


def load_detector(name: str, models: Path, device: str = "cpu") -> PoseDetector:
    """Return the detector called `name`, with its weights read from the folder `models`.

    It runs on `device`, "cpu" or "cuda", if it can: see its own `device`.

    Raises:
        ConfigError: there is no detector of that name.
        WeightsMissingError: `models` lacks a weight file.
    """
    if name == "blazepose":
        from dancelcm_cli.perception.blazepose import BlazePose

        return BlazePose(models)
    if name == "dwpose":
        from dancelcm_cli.perception.dwpose import DWPose

        return DWPose(models, device)
    if name == "openpose":
        from dancelcm_cli.perception.openpose import OpenPose

        return OpenPose(models, device)
    raise ConfigError(
        f"the pose detector must be dwpose, openpose or blazepose, got {name}",
        "pass --pose-detector blazepose: it needs no download",
    )


def annotation_path(video: Path) -> Path | None:
    """Return the file of exact keypoints beside `video` (clip.mp4: clip.npz), or None."""
    named = video if video.name else video.absolute()  # `.` names a folder of frames as well
    path = named.with_suffix(".npz")
    return path if path.is_file() else None


def read_annotation(path: Path, height: int, width: int) -> NDArray[np.float32]:
    """Return the exact keypoints (F, 134, 3) stored in `path`.

    The file holds them as they are, as `keypoints` (F, 134, 3) without `visible`. Or it holds
    `keypoints` (F, 134, 2) in pixels of a video of `height` x `width` pixels, and `visible`
    (F, 134) bool. A visible point scores 1, one that is hidden but inside the frame `HIDDEN_SCORE`,
    one outside 0.

    Raises:
        InputError: the file is no such annotation.
    """
    arrays = read_arrays(path, ANNOTATION, DETECT_INSTEAD)
    points, visible = arrays.get("keypoints"), arrays.get("visible")
    if points is None:
        raise InputError(
            f"{path} must hold {ANNOTATION}, got: {', '.join(arrays)}.",
            hint=DETECT_INSTEAD,
        )
    if points.ndim == 3 and points.shape[1:] == (NUM_KEYPOINTS, 3) and visible is None:
        return tame_keypoints(points)
    if visible is None:
        visible = np.empty(0)
    pixels = points.ndim == 3 and points.shape[1:] == (NUM_KEYPOINTS, 2)
    if not pixels or visible.shape != points.shape[:2]:
        raise InputError(
            f"keypoints and visible of {path} must be (F, {NUM_KEYPOINTS}, 2) and "
            f"(F, {NUM_KEYPOINTS}), got {points.shape} and {visible.shape}",
            hint=DETECT_INSTEAD,
        )
    keypoints = np.zeros((len(points), NUM_KEYPOINTS, 3), np.float32)
    with np.errstate(all="ignore"):
        keypoints[..., :2] = points / (width, height)
    inside = ((keypoints[..., :2] >= 0) & (keypoints[..., :2] <= 1)).all(axis=-1)
    keypoints[..., 2] = np.where(visible, 1.0, HIDDEN_SCORE) * inside
    return tame_keypoints(keypoints)


def tame_keypoints(points: NDArray[Any]) -> NDArray[np.float32]:
    """Return keypoints (F, 134, 3) from a file as numbers that can be drawn.

    What is no finite number, or lies further than `FARTHEST` frames away, was not seen.
    """
    with np.errstate(all="ignore"):
        keypoints = np.array(points, np.float32)
        seen = (np.isfinite(keypoints) & (np.abs(keypoints) <= FARTHEST)).all(axis=-1)
    keypoints[~seen] = 0
    keypoints[..., 2] = keypoints[..., 2].clip(0, 1)
    return keypoints


def body_confidence(keypoints: NDArray[np.float32]) -> float:
    """Return the mean score of the 18 body points of a pose or a clip, in [0, 1]."""
    return float(keypoints[..., BODY, 2].mean())
