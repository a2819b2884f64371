"""The square picture of a person's face, found by MTCNN or, failing that, by the keypoints."""

from __future__ import annotations

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
NOSE, EYES = 0, (14, 15)

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FaceCrop:
    """A face and where it was."""

    image: NDArray[np.uint8]  # (size, size, 3) RGB
    box: Box  # left, top, right, bottom in pixels of the frame; square, may reach beyond the frame
    probability: float  # that it is a face, [0, 1]


class FaceCropper:
    """Crops the largest face of a frame; loads MTCNN (its weights ship with it) when first used."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    @cached_property
    def _detector(self) -> MTCNN:
        return MTCNN(device=self.device)

    def crop(
        self, frame: NDArray[np.uint8], size: int, keypoints: NDArray[np.float32] | None = None
    ) -> FaceCrop | None:
        """Return the face in `frame` (H, W, 3) as a picture of `size` x `size` pixels.

        Where MTCNN finds none, the person's `keypoints` (134, 3), if given, are a second chance:
        nose and eyes have to be seen. None: there is no face.
        """
        found = self._detect(frame)
        if found is None and keypoints is not None:
            found = _from_keypoints(keypoints, *frame.shape[:2])
        if found is None:
            return None
        (left, top, right, bottom), probability = found
        side = max(1, round(max(right - left, bottom - top) * (1 + 2 * MARGIN)))
        x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
        box = (x, y, x + side, y + side)
        return FaceCrop(_cut(frame, box, size), box, probability)

    def _detect(self, frame: NDArray[np.uint8]) -> tuple[NDArray[np.float64], float] | None:
        """Return the box (4,) of the largest probable face, in pixels, and its probability."""
        if min(frame.shape[:2]) < MIN_SIDE:
            return None
        # Faces of a few pixels are found once the picture is enlarged; large pictures cost time.
        long_side = max(frame.shape[:2])
        factor = 2.0 if long_side < SMALL_SIDE else min(1.0, LARGE_SIDE / long_side)
        picture = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        boxes, probabilities = self._detector.detect(picture)
        if boxes is None:
            return None
        # MTCNN gives the largest first.
        for box, probability in zip(boxes, probabilities, strict=True):
            if probability >= MIN_PROBABILITY:
                return np.asarray(box, np.float64) / factor, float(probability)
        return None


def _from_keypoints(
    keypoints: NDArray[np.float32], height: int, width: int
) -> tuple[NDArray[np.float64], float] | None:
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


def _cut(frame: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Return the box of the frame, resized; beyond the frame its edge pixels go on."""
    left, top, right, bottom = box
    height, width = frame.shape[:2]
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    picture = frame[rows[:, None], columns]
    interpolation = cv2.INTER_AREA if right - left > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=interpolation), np.uint8)
