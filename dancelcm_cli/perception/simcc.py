"""The whole-body points of people whose boxes are known: the second half of DWPose.

Constants are those of MMPose's RTMPose and of DWPose's ONNX demo (`onnxpose.py`,
`wholebody.py`).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.perception.boxes import Boxes
from dancelcm_cli.perception.keypoints import NUM_KEYPOINTS
from dancelcm_cli.perception.onnx_network import OnnxNetwork

MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # of ImageNet's R, G and B, 0 to 255
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
ROOM = 1.25  # size of a crop, in those of the person's box
BINS = 2  # places per pixel that the network tells apart
# fmt: off
COCO_BODY = [  # COCO's body point for each of our 18; the neck (1) is made of the shoulders
    0, 5, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3,
]
# fmt: on
NECK, COCO_SHOULDERS, COCO_BODY_POINTS = 1, [5, 6], 17


class PointReader:
    """Reads the 134 points of people; its network is in the file `path`."""

    def __init__(self, path: Path, device: str) -> None:
        self._network = OnnxNetwork(path, device)

    def read(self, frames: list[NDArray[np.uint8]], boxes: Boxes) -> NDArray[np.float32]:
        """Return the points (N, 134, 3), in pixels, of a person in each RGB frame (H, W, 3).

        `boxes` (N, 4) tells where that person is; a frame with several people comes several times.
        """
        if not len(boxes):
            return np.zeros((0, NUM_KEYPOINTS, 3), np.float32)
        height, width = self._network.height, self._network.width
        crops = [crop_of(box, height, width) for box in boxes]
        pictures = np.stack(
            [cut(frame, *crop, height, width) for frame, crop in zip(frames, crops, strict=True)]
        )
        columns, rows = self._network.run(pictures)
        points = decode(columns, rows)
        for person, (corner, pixels) in zip(points, crops, strict=True):
            person[:, :2] = person[:, :2] * pixels + corner
        return with_neck(points)


def crop_of(box: NDArray[np.float64], height: int, width: int) -> tuple[NDArray[np.float64], float]:
    """Return the part of a frame that shows a box (4,) with room, shaped as `height` x `width`.

    That is the place (2,) in the frame of its pixel (0, 0), and frame pixels per crop pixel.
    """
    middle, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * ROOM
    pixels = max(float(size[0]) / width, float(size[1]) / height, 1e-6)
    return middle - np.array([width, height]) * (pixels / 2), pixels


def cut(
    frame: NDArray[np.uint8], corner: NDArray[np.float64], pixels: float, height: int, width: int
) -> NDArray[np.float32]:
    """Return a crop of an RGB frame as the network sees it, (3, height, width); black beyond it."""
    to_frame = np.array([[pixels, 0, corner[0]], [0, pixels, corner[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(frame, to_frame, (width, height), flags=flags)
    return np.ascontiguousarray(((picture - MEAN) / DEVIATION).transpose(2, 0, 1), np.float32)


def decode(columns: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return points (N, K, 3) in crop pixels from the two classifications of their places.

    `columns` (N, K, W * BINS) and `rows` (N, K, H * BINS) rate every place along an axis: the best
    one is taken, and the lower of the two ratings, cut to [0, 1], is the score.
    """
    places = np.stack([columns.argmax(axis=-1), rows.argmax(axis=-1)], axis=-1) / BINS
    scores = np.minimum(columns.max(axis=-1), rows.max(axis=-1)).clip(0, 1)
    return np.concatenate([places, scores[..., None]], axis=-1).astype(np.float32)


def with_neck(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return COCO-WholeBody's points (N, 133, 3) as our 134, the neck between the shoulders."""
    body, rest = points[:, COCO_BODY], points[:, COCO_BODY_POINTS:]
    shoulders = points[:, COCO_SHOULDERS]
    body[:, NECK, :2] = shoulders[..., :2].mean(axis=1)
    body[:, NECK, 2] = shoulders[..., 2].min(axis=1)
    return np.concatenate([body, rest], axis=1)
