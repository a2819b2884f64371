"""Where the person is, and the person's 33 body points.

Geometry and constants are those of MediaPipe 0.10's `modules/pose_detection` and
`modules/pose_landmark`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancelcm_cli.config.schema import Person
from dancelcm_cli.perception.people import choose_person
from dancelcm_cli.perception.region import Array, Frame, Region
from dancelcm_cli.perception.tflite import TfliteNetwork, sigmoid

CELLS = ((8, 2), (16, 2), (32, 6))  # the detector's strides in pixels, and boxes per cell
MIN_SCORE = 0.5  # of a person, by the detector and by the landmark network
APART = 0.5  # sizes of the larger of two people that their hips are apart at least
ROOM = 1.25  # size of a person's region, in those of the circle that a network puts about it
NUM_POINTS = 33  # body points; two more tell the circle in the next frame
HEATMAP_REACH = 3  # cells around a point that its heatmap may move it by
MIN_HEAT = 0.5  # a point whose heatmap is colder stays where it is


@dataclass(frozen=True)
class Body:
    """The points of a person in a frame."""

    points: Array  # (33, 2) pixels, in MediaPipe's order
    scores: Array  # (33,) probability that the point is in the frame and not hidden
    region: Region  # where to look for the person in the next frame


class BodyFinder:
    """Finds the people of a frame."""

    def __init__(self, models: Path) -> None:
        self._network = TfliteNetwork(models / "pose_detection.tflite")
        self._anchors = _anchors(self._network.side)

    def find(
        self, frame: Frame, person: Person = "largest", near: Array | None = None
    ) -> Region | None:
        """Return the region of a person in an RGB frame (H, W, 3), or None.

        Of several people it is the one whose hips are nearest to `near`, x and y in frame widths
        and heights, and not further than a size away; else the one that `choose_person` names. A
        size is multiplied by its score.
        """
        points, sizes, weights = self._candidates(frame)
        people = _apart(points[:, 0], sizes, weights)
        hips = Region.of_frame(frame).to_frame(points[people, 0])
        places = hips / np.array(frame.shape[1::-1])
        number = choose_person(person, (weights * sizes)[people], places)
        if number is None:
            return None
        if near is not None:
            away = np.linalg.norm((places - near) * frame.shape[1::-1], axis=-1)
            within = away < sizes[people] * max(frame.shape[:2])
            number = int(np.argmin(away)) if within[np.argmin(away)] else number
        best = people[number]
        offsets = np.linalg.norm(points - points[best], axis=-1).max(axis=-1)
        weights = weights * (offsets < 0.3 * sizes[best])  # the boxes of the same person
        whole = Region.of_frame(frame)
        centre, rim = whole.to_frame(np.average(points, axis=0, weights=weights))
        return Region.about(centre, rim - centre, ROOM)

    def count(self, frame: Frame) -> int:
        """Return how many people there are in an RGB frame (H, W, 3)."""
        points, sizes, weights = self._candidates(frame)
        return len(_apart(points[:, 0], sizes, weights))

    def _candidates(self, frame: Frame) -> tuple[Array, Array, Array]:
        """Return of every box its hips and rim (N, 2, 2), size (N,) and score (N,), 0 for nobody.

        Places and sizes are in shares of the frame's square region.
        """
        boxes, logits = self._network.run(frame, Region.of_frame(frame), low=-1.0)
        scores = sigmoid(logits[:, 0])
        # A box is x, y, width, height and four points, of which the first two are the middle of
        # the hips and a point on the circle about the person.
        points = boxes[:, 4:8].reshape(-1, 2, 2) / self._network.side + self._anchors[:, None]
        sizes = np.linalg.norm(points[:, 1] - points[:, 0], axis=-1)
        return points, sizes, np.where(scores > MIN_SCORE, scores, 0)


class BodyReader:
    """Reads the body points of the person in a region."""

    def __init__(self, models: Path) -> None:
        self._network = TfliteNetwork(models / "pose_landmark_full.tflite")

    def read(self, frame: Frame, region: Region) -> Body | None:
        """Return the body in a region of an RGB frame (H, W, 3), or None if there is none."""
        landmarks, score, _, heatmaps, _ = self._network.run(frame, region)
        if score[0] < MIN_SCORE:
            return None
        landmarks = landmarks.reshape(-1, 5)  # x, y, z, logits of visible and of inside the frame
        places = landmarks[:, :2] / self._network.side
        points = region.to_frame(_refined(places[:NUM_POINTS], sigmoid(heatmaps)))
        centre, rim = region.to_frame(places[NUM_POINTS : NUM_POINTS + 2])
        scores = sigmoid(landmarks[:NUM_POINTS, 3:]).min(axis=-1)
        return Body(points, scores, Region.about(centre, rim - centre, ROOM))


def _apart(hips: Array, sizes: Array, weights: Array) -> list[int]:
    """Return the box that shows each person best, the most prominent first; 0 weighs nobody."""
    people = []
    while weights.any():
        best = int(np.argmax(weights * sizes))
        people.append(best)
        away = np.linalg.norm(hips - hips[best], axis=-1)
        weights = weights * (away > APART * sizes[best])
    return people


def _anchors(side: int) -> Array:
    """Return the cell centre (N, 2), 0 to 1, that every box of the detector is relative to."""
    layers = []
    for stride, boxes in CELLS:
        places = (np.arange(side // stride, dtype=np.float32) + 0.5) * stride / side
        rows, columns = np.meshgrid(places, places, indexing="ij")
        layers.append(np.repeat(np.stack([columns, rows], axis=-1).reshape(-1, 2), boxes, axis=0))
    return np.concatenate(layers)


def _refined(places: Array, heatmaps: Array) -> Array:
    """Return places (N, 2), 0 to 1, moved to the centre of heat in their neighbourhood.

    `heatmaps` (side, side, N or more) are probabilities.
    """
    side = len(heatmaps)
    refined = places.copy()
    for index, (column, row) in enumerate((places * side).astype(int).tolist()):
        if not (0 <= column < side and 0 <= row < side):
            continue
        left, top = max(column - HEATMAP_REACH, 0), max(row - HEATMAP_REACH, 0)
        bottom, right = row + HEATMAP_REACH + 1, column + HEATMAP_REACH + 1
        heat = heatmaps[top:bottom, left:right, index]
        if heat.max() >= MIN_HEAT:
            rows, columns = np.indices(heat.shape)
            total = heat.sum() * side
            refined[index] = ((columns + left) * heat).sum(), ((rows + top) * heat).sum()
            refined[index] /= total
    return refined
