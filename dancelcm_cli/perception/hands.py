"""The 21 points of a hand whose wrist and knuckles are roughly known.

Geometry and constants are those of MediaPipe 0.10's `modules/holistic_landmark` and
`modules/hand_landmark`, but for two looks instead of a network that corrects the first region.
"""

from __future__ import annotations

from pathlib import Path

from dancelcm_cli.perception.region import Array, Frame, Region
from dancelcm_cli.perception.tflite import TfliteNetwork

FIRST_ROOM, ROOM = 2.0, 2.0  # sizes of the regions, in those of what they are made from
UPWARDS = 0.1  # how far they are moved towards the fingers, in their sizes
PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]  # the points that move little with the fingers
WRIST, FIRST_KNUCKLE, MIDDLE_KNUCKLE, RING_KNUCKLE = 0, 5, 9, 13


class HandReader:
    """Reads the points of a hand."""

    def __init__(self, models: Path) -> None:
        self._network = TfliteNetwork(models / "hand_landmark_full.tflite")

    def read(
        self, frame: Frame, wrist: Array, little_knuckle: Array, first_knuckle: Array
    ) -> tuple[Array, float]:
        """Return the points (21, 2) in pixels and the probability that this is a hand.

        `wrist` and knuckles (2,) are places of an RGB frame (H, W, 3), in pixels.
        """
        middle_knuckle = (2 * first_knuckle + little_knuckle) / 3
        region = Region.about(middle_knuckle, middle_knuckle - wrist, FIRST_ROOM).moved(UPWARDS)
        points, _ = self._look(frame, region)
        return self._look(frame, _region_of(points))

    def _look(self, frame: Frame, region: Region) -> tuple[Array, float]:
        landmarks, score, _, _ = self._network.run(frame, region)
        places = landmarks.reshape(-1, 3)[:, :2] / self._network.side
        return region.to_frame(places), float(score[0])


def _region_of(points: Array) -> Region:
    """Return the region about the points (21, 2) of a hand, its fingers upwards."""
    knuckles = (points[FIRST_KNUCKLE] + points[RING_KNUCKLE]) / 4 + points[MIDDLE_KNUCKLE] / 2
    return Region.around(points[PALM], knuckles - points[WRIST], ROOM).moved(UPWARDS)
