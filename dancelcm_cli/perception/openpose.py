"""OpenPose by way of controlnet_aux: body, hands and face, but no feet."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Person
from dancelcm_cli.errors import WeightsMissingError
from dancelcm_cli.perception.keypoints import (
    BODY,
    FACE,
    LEFT_HAND,
    NUM_KEYPOINTS,
    RIGHT_HAND,
)
from dancelcm_cli.perception.people import Sighting, choose_track, link

with warnings.catch_warnings(action="ignore"):  # of its other detectors' missing dependencies
    from controlnet_aux.open_pose import OpenposeDetector, PoseResult
    from controlnet_aux.open_pose.body import Body
    from controlnet_aux.open_pose.face import Face
    from controlnet_aux.open_pose.hand import Hand

FILES = {  # in the folder of weights
    Body: Path("openpose-body", "body_pose_model.pth"),
    Hand: Path("openpose-hand", "hand_pose_model.pth"),
    Face: Path("openpose-face", "facenet.pth"),
}
NUM_FACE_POINTS = 68  # OpenPose adds two pupils


class OpenPose:
    """A `PoseDetector` with its three networks in the folder `models`.

    Attributes:
        device: "cuda" or "cpu": where it runs.

    Raises:
        WeightsMissingError: `models` lacks a file.
    """

    name = "openpose"

    def __init__(self, models: Path, device: str = "cpu") -> None:
        for file in FILES.values():
            if not (models / file).is_file():
                raise WeightsMissingError(
                    f"{models / file} must hold a network of the pose detector, got no file.",
                    hint=f"Type: dancelcm models fetch {file.parent.name}",
                )
        self.device = device if device == "cuda" and torch.cuda.is_available() else "cpu"
        body, hand, face = (part(str(models / file)) for part, file in FILES.items())
        self._detector = OpenposeDetector(body, hand, face).to(self.device)

    def detect(
        self,
        frames: NDArray[np.uint8],
        person: Person = "largest",
        before: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return the keypoints (F, 134, 3) of a person in consecutive RGB frames (F, H, W, 3)."""
        height, width = frames.shape[1:3]
        looks = [(number, self._look(frame)) for number, frame in enumerate(frames)]
        keypoints = np.zeros((len(frames), NUM_KEYPOINTS, 3), np.float32)
        track = choose_track(link(looks), person, height, width, before)
        if track is not None:
            keypoints[track.frames] = [sighting.pose for sighting in track.sightings]
        keypoints[..., :2] /= (width, height)
        return keypoints

    def count_people(self, frame: NDArray[np.uint8]) -> int:
        """Return how many people are seen in an RGB frame (H, W, 3)."""
        return len(self._look(frame))

    def _look(self, frame: NDArray[np.uint8]) -> list[Sighting]:
        found = self._detector.detect_poses(frame, include_hand=True, include_face=True)
        return [sighting for pose in found if (sighting := sighting_of(pose, *frame.shape[:2]))]


def sighting_of(pose: PoseResult, height: int, width: int) -> Sighting | None:
    """Return a person that OpenPose found in a frame, or None if no body point is seen.

    OpenPose's own order of the body is ours. controlnet_aux passes no scores on: a point that was
    found counts as surely seen.
    """
    points = np.zeros((NUM_KEYPOINTS, 3), np.float32)
    for place, point in zip(points[BODY], pose.body.keypoints, strict=True):
        if point is not None:
            place[:] = point.x * width, point.y * height, 1
    face = None if pose.face is None else pose.face[:NUM_FACE_POINTS]
    for part, found in ((LEFT_HAND, pose.left_hand), (RIGHT_HAND, pose.right_hand), (FACE, face)):
        if found is None or len(found) != part.stop - part.start:
            continue  # of a face of which only some points are found, nobody knows which
        places = np.array([(point.x, point.y) for point in found], np.float32)
        points[part, :2] = places * (width, height)
        points[part, 2] = (places >= 0).all(axis=-1)
    seen = points[BODY][points[BODY, 2] > 0, :2]
    if not len(seen):
        return None
    box = np.concatenate([seen.min(axis=0), seen.max(axis=0)]).astype(np.float64)
    return Sighting(box, points)
