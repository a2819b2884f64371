"""Where people are in a frame, by YOLOX: the first half of DWPose.

Constants are those of YOLOX's and DWPose's own ONNX demos (`onnxdet.py`).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.perception.boxes import Boxes, distinct
from dancelcm_cli.perception.onnx_network import OnnxNetwork

STRIDES = (8, 16, 32)  # pixels per cell of the three grids
PADDING = 114  # grey level beyond the picture
PERSON = 0  # COCO's class
MIN_SCORE = 0.3  # of a person
MOST_OVERLAP = 0.45  # of two people's boxes, intersection over union


class PersonBoxes:
    """Finds the boxes of all people in frames; its network is in the file `path`."""

    def __init__(self, path: Path, device: str) -> None:
        self._network = OnnxNetwork(path, device)
        self.device = self._network.device

    def find(self, frames: NDArray[np.uint8]) -> list[Boxes]:
        """Return the boxes (N, 4) of the people in each of the RGB frames (F, H, W, 3)."""
        height, width = self._network.height, self._network.width
        pictures = np.stack([letterbox(frame, height, width) for frame in frames])
        (outputs,) = self._network.run(pictures)
        scale = _scale(frames[0], height, width)
        return [people_in(output, height, width) / scale for output in outputs]


def letterbox(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Return an RGB frame (H, W, 3) as YOLOX sees it: (3, height, width), BGR, 0 to 255.

    It keeps its proportions and lies in the upper left corner, on grey.
    """
    scale = _scale(frame, height, width)
    rows, columns = int(frame.shape[0] * scale), int(frame.shape[1] * scale)
    canvas = np.full((height, width, 3), PADDING, np.uint8)
    canvas[:rows, :columns] = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1), np.float32)


def people_in(output: NDArray[np.float32], height: int, width: int) -> Boxes:
    """Return the boxes (N, 4) of people, best first, in pixels of the network's picture.

    `output` (cells, 85) holds for each cell of the three grids: the box's centre from the cell's
    corner and the logarithms of its width and height, in cells; the probability of an object; and
    those of the 80 classes.
    """
    corners, strides = _cells(height, width)
    centres = (output[:, :2].astype(np.float64) + corners) * strides
    halves = np.exp(output[:, 2:4].astype(np.float64)) * strides / 2
    scores = output[:, 4].astype(np.float64) * output[:, 5 + PERSON]
    sure = np.flatnonzero(scores > MIN_SCORE)
    boxes = np.concatenate([centres - halves, centres + halves], axis=-1)[sure]
    return np.asarray(boxes[distinct(boxes, scores[sure], MOST_OVERLAP)], np.float64)


def _cells(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the corner (cells, 2), in cells, and the stride (cells, 1) of each cell."""
    corners, strides = [], []
    for stride in STRIDES:
        rows, columns = np.indices((height // stride, width // stride))
        corners.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((len(corners[-1]), 1), stride))
    return np.concatenate(corners), np.concatenate(strides)


def _scale(frame: NDArray[np.uint8], height: int, width: int) -> float:
    return float(min(height / frame.shape[0], width / frame.shape[1]))
