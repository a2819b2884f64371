"""What the network is told of photos, kept for the next dance of the same one."""

from __future__ import annotations

import hashlib

import numpy as np

from dancelcm_cli.core.conditioning import Appearance
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.vae import Frames

MOST_KEPT = 64  # photos; of 768 x 512 pixels each takes an eighth of a megabyte


class Appearances:
    """Encodes photos with the networks of `pipeline`, each photo once.

    Photos are told apart by their content. The one that was encoded first is the first to go.
    """

    def __init__(self, pipeline: DancePipeline) -> None:
        self._pipeline = pipeline
        self._kept: dict[str, Appearance] = {}

    def of(self, image: Frames, face: Frames | None, photo: Frames) -> Appearance:
        """Return what `DancePipeline.encode_appearance` makes of the pictures `(H, W, 3)`."""
        key = _content(image, face, photo if self._pipeline.image_encoder is not None else None)
        if key not in self._kept:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = self._pipeline.encode_appearance(image, face, photo)
        return self._kept[key]


def _content(*pictures: Frames | None) -> str:
    total = hashlib.sha256()
    for picture in pictures:
        total.update(repr(None if picture is None else picture.shape).encode())
        if picture is not None:
            total.update(np.ascontiguousarray(picture).data)
    return total.hexdigest()
