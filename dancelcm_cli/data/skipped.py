"""What a shard folder tells of everything that did not become a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.data.atomic import atomic_path

THUMBNAIL_SIDE = 160  # pixels, of the longer side
THUMBNAIL_QUALITY = 80  # JPEG's, up to 95


@dataclass(frozen=True)
class Skipped:
    """A row of `skipped.jsonl`."""

    source: str
    reason: str
    detail: str = ""
    start: float | None = None  # seconds in the video; None where no frame could be read
    end: float | None = None
    thumbnail: str | None = None  # file in the shard folder, with forward slashes


def save_thumbnail(path: Path, frame: NDArray[np.uint8]) -> None:
    """Write a frame (H, W, 3) uint8 RGB as a small JPEG."""
    picture = Image.fromarray(frame)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="JPEG", quality=THUMBNAIL_QUALITY)
