"""DWPose: YOLOX finds people, a whole-body network reads their points, both from ONNX files.

People are looked for in every fifth frame and recognised by place and pose; in between, the chosen
person's box moves steadily, so that the crops of all frames go through the network in batches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Person
from dancelcm_cli.perception.keypoints import NUM_KEYPOINTS
from dancelcm_cli.perception.people import Sighting, Track, choose_track, link
from dancelcm_cli.perception.simcc import PointReader
from dancelcm_cli.perception.yolox import PersonBoxes

BOXES_FILE = Path("dwpose-detector", "yolox_l.onnx")  # in the folder of weights
POINTS_FILE = Path("dwpose-body", "dw-ll_ucoco_384.onnx")
LOOK_EVERY = 5  # frames


class DWPose:
    """A `PoseDetector` with its two networks in the folder `models`.

    Attributes:
        device: "cuda" or "cpu": where it really runs.
    """

    name = "dwpose"

    def __init__(self, models: Path, device: str = "cpu") -> None:
        self._boxes = PersonBoxes(models / BOXES_FILE, device)
        self._points = PointReader(models / POINTS_FILE, device)
        self.device = self._boxes.device

    def detect(
        self,
        frames: NDArray[np.uint8],
        person: Person = "largest",
        before: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return the keypoints (F, 134, 3) of a person in consecutive RGB frames (F, H, W, 3)."""
        height, width = frames.shape[1:3]
        keypoints = np.zeros((len(frames), NUM_KEYPOINTS, 3), np.float32)
        track = choose_track(link(self._look(frames)), person, height, width, before)
        if track is not None:
            self._follow(frames, track, keypoints)
        keypoints[..., :2] /= (width, height)
        return keypoints

    def count_people(self, frame: NDArray[np.uint8]) -> int:
        """Return how many people are seen in an RGB frame (H, W, 3)."""
        return len(self._boxes.find(frame[None])[0])

    def _look(self, frames: NDArray[np.uint8]) -> list[tuple[int, list[Sighting]]]:
        """Return everybody in every fifth frame, and in the last."""
        numbers = sorted({*range(0, len(frames), LOOK_EVERY), len(frames) - 1})
        found = self._boxes.find(frames[numbers])
        shown = [frames[n] for n, boxes in zip(numbers, found, strict=True) for _ in boxes]
        poses = iter(self._points.read(shown, np.concatenate(found)))
        return [
            (number, [Sighting(box, next(poses)) for box in boxes])
            for number, boxes in zip(numbers, found, strict=True)
        ]

    def _follow(
        self, frames: NDArray[np.uint8], track: Track, keypoints: NDArray[np.float32]
    ) -> None:
        """Write one person's points, in pixels, into `keypoints` (F, 134, 3)."""
        looked = dict(zip(track.frames, track.sightings, strict=True))
        numbers, boxes = track.boxes_between()
        between = [place for place, number in enumerate(numbers) if number not in looked]
        for number, sighting in looked.items():
            keypoints[number] = sighting.pose
        missing = [numbers[place] for place in between]
        keypoints[missing] = self._points.read([frames[n] for n in missing], boxes[between])
