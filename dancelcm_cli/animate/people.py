"""Finding the person in a picture or a clip, once: what was found is kept for the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Detector
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.array_cache import Arrays, cached_arrays
from dancelcm_cli.data.detector_weights import detector_folder, detector_sha256
from dancelcm_cli.data.footage import Footage, footage_sha256
from dancelcm_cli.perception.keypoints import PoseDetector, body_confidence, load_detector
from dancelcm_cli.progress import Progress

Keypoints = NDArray[np.float32]

FORMAT_VERSION = 2
CACHE = "poses"
MIN_CONFIDENCE = 0.3  # mean body score below which nobody is seen, [0, 1]
CHUNK = 32  # frames that are in memory at once
LOOKS = 8  # frames of a clip in which people are counted


@dataclass(frozen=True)
class Found:
    """Keypoints `(F, 134, 3)` of the most prominent person; how many people a frame has at most."""

    keypoints: Keypoints
    people: int

    @property
    def somebody(self) -> bool:
        """Whether a person is seen at all."""
        return body_confidence(self.keypoints) >= MIN_CONFIDENCE


class PersonFinder:
    """Finds people with the detector called `name`; "auto" and "annotation" take the bundled one.

    The detector is loaded when something is looked at for the first time ever.
    """

    def __init__(self, name: Detector) -> None:
        self._name = "blazepose" if name in ("auto", "annotation") else name

    def in_picture(self, image: Frames) -> Found:
        """Find the person in a picture `(H, W, 3)`."""
        content = hashlib.sha256(image.tobytes()).hexdigest()
        key = self._key(content, image.shape)
        return self._cached(key, lambda: self._look([image[None]], {0}))

    def in_clip(self, clip: Footage, indices: Sequence[int], progress: Progress) -> Found:
        """Find the person in the frames of `clip` at `indices`."""
        step = -(-len(indices) // LOOKS)
        looks = set(range(0, len(indices), step))

        def look() -> Arrays:
            frames = progress.track(clip.frames(indices), "Finding the dancer", len(indices))
            chunks = iter(lambda: list(islice(frames, CHUNK)), [])
            return self._look(map(np.stack, chunks), looks)

        return self._cached(self._key(footage_sha256(clip.path), indices), look)

    def detect(self, frames: Sequence[Frames]) -> Keypoints:
        """Return the keypoints `(F, 134, 3)` of frames `(H, W, 3)`, without a look at the cache."""
        return self._detector.detect(np.stack(frames))

    def _look(self, chunks: Iterable[Frames], looks: Collection[int]) -> Arrays:
        """Detect in chunks `(n, H, W, 3)` of a clip, and count the people in the frames `looks`."""
        keypoints: list[Keypoints] = []
        before: Keypoints | None = None  # how the person was seen last: that one is gone on with
        people = 0
        for chunk in chunks:
            first = sum(map(len, keypoints))
            keypoints.append(self._detector.detect(chunk, before=before))
            seen = np.flatnonzero(keypoints[-1][..., 2].any(axis=1))
            before = keypoints[-1][seen[-1]] if len(seen) else before
            counted = [chunk[index - first] for index in looks if 0 <= index - first < len(chunk)]
            people = max(people, *map(self._detector.count_people, counted), 0)
        return {"keypoints": np.concatenate(keypoints), "people": np.array(people)}

    def _cached(self, key: str, look: Callable[[], Arrays]) -> Found:
        arrays = cached_arrays(CACHE, key, look)
        return Found(arrays["keypoints"].astype(np.float32), int(arrays["people"]))

    def _key(self, content: str, which: Sequence[int]) -> str:
        """Return a hash of what is looked at, and of who looks."""
        looked_at = [FORMAT_VERSION, self._name, self._weights_sha256, content, list(which)]
        return hashlib.sha256(json.dumps(looked_at).encode()).hexdigest()

    @cached_property
    def _weights_sha256(self) -> str:
        return detector_sha256(self._name)

    @cached_property
    def _detector(self) -> PoseDetector:
        return load_detector(self._name, detector_folder(self._name))
