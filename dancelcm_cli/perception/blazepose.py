"""BlazePose with hands and a face mesh: whole-body keypoints without a model hub.

MediaPipe's networks find the person and then 33 body points in a square about it; hands and face
are read in squares that follow from the body. The next frame is read where this frame's person was,
and the person is looked for again once it is no longer there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Person
from dancelcm_cli.perception.body import Body, BodyFinder, BodyReader
from dancelcm_cli.perception.face_mesh import FaceReader
from dancelcm_cli.perception.hands import HandReader
from dancelcm_cli.perception.keypoints import FACE, LEFT_HAND, NUM_KEYPOINTS, RIGHT_HAND
from dancelcm_cli.perception.region import Frame, Region

# fmt: off
BODY_POINTS = {  # our body and foot points: MediaPipe's; the neck and small toes are made up
    0: 0, 2: 12, 3: 14, 4: 16, 5: 11, 6: 13, 7: 15, 8: 24, 9: 26, 10: 28, 11: 23, 12: 25, 13: 27,
    14: 5, 15: 2, 16: 8, 17: 7, 18: 31, 20: 29, 21: 32, 23: 30,
}
# fmt: on
NECK, SHOULDERS, HIPS = 1, (2, 5), (8, 11)
FEET = ((18, 11, 8), (21, 8, 11))  # big toe, the hip of its side and the other hip
# By how much the small toe is out from the big one, in hip widths, and back, in foot lengths.
TOE_OUT, TOE_BACK = 0.27, 0.16
HANDS = ((LEFT_HAND, (15, 17, 19)), (RIGHT_HAND, (16, 18, 20)))  # wrist, little, first knuckle
EYES, EARS, MOUTH = [5, 2], [8, 7], [10, 9]  # right and left


class BlazePose:
    """A `PoseDetector` with its networks in the folder `models` (assets/blazepose)."""

    name, device = "blazepose", "cpu"  # TensorFlow Lite knows no other

    def __init__(self, models: Path) -> None:
        self._finder, self._body = BodyFinder(models), BodyReader(models)
        self._hand, self._face = HandReader(models), FaceReader(models)

    def detect(
        self,
        frames: NDArray[np.uint8],
        person: Person = "largest",
        before: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return the keypoints (F, 134, 3) of a person in consecutive RGB frames (F, H, W, 3)."""
        height, width = frames.shape[1:3]
        keypoints = np.zeros((len(frames), NUM_KEYPOINTS, 3), np.float32)
        region: Region | None = None
        for frame, pose in zip(frames, keypoints, strict=True):
            body = self._follow(frame, region, person, before)
            region = None
            if body is not None:
                region, before = body.region, None  # from here on as in any clip
                self._read(frame, body, pose)
        keypoints[..., :2] /= (width, height)
        return keypoints

    def count_people(self, frame: NDArray[np.uint8]) -> int:
        """Return how many people are seen in an RGB frame (H, W, 3)."""
        return self._finder.count(frame)

    def _follow(
        self,
        frame: Frame,
        region: Region | None,
        person: Person,
        before: NDArray[np.float32] | None,
    ) -> Body | None:
        """Return the body in `region`, or else in the region that the finder proposes."""
        body = self._body.read(frame, region) if region else None
        near = None if before is None else before[list(HIPS), :2].mean(axis=0)
        if body is None and (found := self._finder.find(frame, person, near)):
            body = self._body.read(frame, found)
        return body

    def _read(self, frame: Frame, body: Body, pose: NDArray[np.float32]) -> None:
        """Write the keypoints, in pixels, into `pose` (134, 3)."""
        _write_body(body, pose)
        for keypoints, joints in HANDS:
            pose[keypoints, :2], pose[keypoints, 2] = self._hand.read(
                frame, *body.points[list(joints)]
            )
        places = (body.points[part] for part in (EYES, EARS, MOUTH))
        pose[FACE, :2], pose[FACE, 2] = self._face.read(frame, *places)


def _write_body(body: Body, pose: NDArray[np.float32]) -> None:
    """Write body and feet into `pose` (134, 3)."""
    ours, theirs = list(BODY_POINTS), list(BODY_POINTS.values())
    pose[ours, :2], pose[ours, 2] = body.points[theirs], body.scores[theirs]
    pose[NECK, :2] = pose[list(SHOULDERS), :2].mean(axis=0)
    pose[NECK, 2] = pose[list(SHOULDERS), 2].min()
    for toe, hip, other_hip in FEET:
        heel = toe + 2
        out, back = pose[hip] - pose[other_hip], pose[heel] - pose[toe]
        pose[toe + 1, :2] = (pose[toe] + TOE_OUT * out + TOE_BACK * back)[:2]
        pose[toe + 1, 2] = pose[toe, 2]
