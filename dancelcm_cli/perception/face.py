"""The square picture of a person's face, found by MTCNN or, failing that, by the keypoints."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from facenet_pytorch import MTCNN
from numpy.typing import NDArray

from dancelcm_cli.perception.keypoints import FACE, HIDDEN_SCORE, SEEN_THRESHOLD

MIN_PROBABILITY = 0.9  # of a face, by MTCNN
MARGIN = 0.25  # room on each side of a face's box, in longer sides of the box
SMALL_SIDE, LARGE_SIDE = 640, 1280  # pictures beyond these long sides are resized, pixels
MIN_SIDE = 20  # of a picture that MTCNN can look at, pixels
CLOSE_ROOM = 2.5  # half the size of the picture of a head, in sizes of the face
CLOSE_SIDE = 320  # pixels that it is brought to
FACE_PER_SPREAD = 1.2  # size of a face in distances of the head's farthest points, as of the ears
REACH = 0.75  # sizes of a face that it may be away from the keypoints' head
ONEDNN_PROGRAMS = "16"
NOSE, EYES = 0, (14, 15)
HEAD = [NOSE, *EYES, 16, 17]  # and ears

Box = tuple[int, int, int, int]
Found = tuple[NDArray[np.float64], float]  # a box (4,) in pixels and its probability


@dataclass(frozen=True)
class FaceCrop:
    """A face and where it was."""

    image: NDArray[np.uint8]  # (size, size, 3) RGB
    box: Box  # left, top, right, bottom in pixels of the frame; square, may reach beyond the frame
    probability: float  # that it is a face, [0, 1]


class FaceCropper:
    """Crops a face out of a frame; loads MTCNN (its weights ship with it) when first used."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    @cached_property
    def _detector(self) -> MTCNN:
        # oneDNN keeps a program for each shape that it has seen, and MTCNN has one for each number
        # of candidates: without a limit a long video takes more memory than a short one.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", ONEDNN_PROGRAMS)
        return MTCNN(device=self.device)

    def crop(
        self, frame: NDArray[np.uint8], size: int, keypoints: NDArray[np.float32] | None = None
    ) -> FaceCrop | None:
        """Return the face in `frame` (H, W, 3) as a picture of `size` x `size` pixels.

        Without `keypoints` it is the largest. With a person's keypoints (134, 3) it is that
        person's: looked for in the frame, then in an enlarged picture of the head, and at last made
        of the points themselves, if nose and eyes are seen. None: there is no face.
        """
        found = self._find(frame, keypoints)
        if found is None:
            return None
        (left, top, right, bottom), probability = found
        side = max(1, round(max(right - left, bottom - top) * (1 + 2 * MARGIN)))
        x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
        box = (x, y, x + side, y + side)
        return FaceCrop(cut_box(frame, box, size), box, probability)

    def _find(
        self, frame: NDArray[np.uint8], keypoints: NDArray[np.float32] | None
    ) -> Found | None:
        # Faces of a few pixels are found once the picture is enlarged; large pictures cost time.
        long_side = max(frame.shape[:2])
        factor = 2.0 if long_side < SMALL_SIDE else min(1.0, LARGE_SIDE / long_side)
        if keypoints is None:
            faces = self._detect(frame, factor)
            return faces[0] if faces else None
        head = Head.of(keypoints, *frame.shape[:2])
        if head is None:
            return None
        return (
            head.own(self._detect(frame, factor))
            or head.own(self._look_closely(frame, head))
            or _from_keypoints(keypoints, *frame.shape[:2])
        )

    def _look_closely(self, frame: NDArray[np.uint8], head: Head) -> list[Found]:
        """Return the faces in a picture of the head and what is about it, enlarged."""
        left, top = np.maximum(head.place - CLOSE_ROOM * head.size, 0).astype(int)
        right, bottom = (head.place + CLOSE_ROOM * head.size).astype(int)
        part = frame[top:bottom, left:right]
        if not part.size:
            return []
        faces = self._detect(part, CLOSE_SIDE / max(part.shape[:2]))
        corner = np.array([left, top, left, top])
        return [(box + corner, probability) for box, probability in faces]

    def _detect(self, picture: NDArray[np.uint8], factor: float) -> list[Found]:
        """Return the probable faces, the largest first; MTCNN sees `factor` times the size."""
        if min(picture.shape[:2]) < MIN_SIDE / max(factor, 1):
            return []
        scaled = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        boxes, probabilities = self._detector.detect(scaled)  # it sorts them by size
        if boxes is None:
            return []
        pairs = zip(boxes, probabilities, strict=True)
        return [
            (np.asarray(box, np.float64) / factor, float(probability))
            for box, probability in pairs
            if probability >= MIN_PROBABILITY
        ]


@dataclass(frozen=True)
class Head:
    """Where the keypoints have a person's head; lengths in pixels."""

    place: NDArray[np.float64]  # (2,) the middle of what is seen of nose, eyes and ears
    size: float  # about that of the face

    @classmethod
    def of(cls, keypoints: NDArray[np.float32], height: int, width: int) -> Head | None:
        """Return the head of a pose (134, 3), or None where less than two of its points are seen.

        Points that are hidden behind the head tell as well where it is.
        """
        seen = keypoints[HEAD, 2] > SEEN_THRESHOLD
        if seen.sum() < 2:
            return None
        points = keypoints[HEAD, :2][seen].astype(np.float64) * (width, height)
        spread = np.linalg.norm(points[:, None] - points[None], axis=-1).max()
        return cls(points.mean(axis=0), max(float(spread), 1.0) * FACE_PER_SPREAD)

    def own(self, faces: list[Found]) -> Found | None:
        """Return the face that is nearest to the head, if it is this head's."""
        away = [np.linalg.norm((box[:2] + box[2:]) / 2 - self.place) for box, _ in faces]
        if not away or min(away) > REACH * max(self.size, _side(faces[int(np.argmin(away))][0])):
            return None
        return faces[int(np.argmin(away))]


def _side(box: NDArray[np.float64]) -> float:
    return float((box[2:] - box[:2]).max())


def _from_keypoints(keypoints: NDArray[np.float32], height: int, width: int) -> Found | None:
    """Return a box about the face points, or about eyes and nose where those are not seen."""
    core = keypoints[[NOSE, *EYES]]
    if (core[:, 2] <= HIDDEN_SCORE).any():  # hidden eyes and nose are on the far side of the head
        return None
    places = keypoints[:, :2].astype(np.float64) * (width, height)
    seen = keypoints[FACE, 2] > SEEN_THRESHOLD
    if seen.mean() > 0.5:
        face = places[FACE][seen]
        box = np.concatenate([face.min(axis=0), face.max(axis=0)])
    else:
        nose, right_eye, left_eye = places[[NOSE, *EYES]]
        middle = (right_eye + left_eye) / 2
        # Seen from the side the eyes are close together, but then the nose is far from them.
        reach = 1.5 * max(np.linalg.norm(left_eye - right_eye), np.linalg.norm(nose - middle))
        box = np.concatenate([nose - reach, nose + reach])
    return box, float(core[:, 2].mean())


def cut_box(frame: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Return the box of the frame, resized; beyond the frame its edge pixels go on."""
    left, top, right, bottom = box
    height, width = frame.shape[:2]
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    picture = frame[rows[:, None], columns]
    interpolation = cv2.INTER_AREA if right - left > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=interpolation), np.uint8)
