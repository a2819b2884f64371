"""What a shard folder tells of everything that did not become a clip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.errors import InputError

THUMBNAIL = re.compile(r"skipped/[A-Za-z0-9_-]+\.jpg")
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


def read_skipped(folder: Path) -> list[Skipped]:
    """Return the rows of `skipped.jsonl` in a shard folder.

    Raises:
        InputError: One has other columns, or a thumbnail that is not the folder's own.
    """
    path = folder / "skipped.jsonl"
    try:
        rows = [Skipped(**row) for row in read_rows(path)]
        for row in rows:
            _check(row)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} must tell in each row what was left out and why, got another: {error}",
            hint=f"Delete that row, or {path}.",
        ) from error
    return rows


def _check(row: Skipped) -> None:
    texts = (row.source, row.reason, row.detail)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("source, reason and detail must be texts")
    "".join(texts).encode("utf-8", "surrogateescape")  # raises ValueError where no file can hold it
    for seconds in (row.start, row.end):
        if seconds is not None and not (type(seconds) in (int, float) and isfinite(seconds)):
            raise ValueError(f"start and end must be seconds, got {seconds!r}")
    if (row.start is None) != (row.end is None):
        raise ValueError("start must come with an end")
    picture = row.thumbnail
    if picture is not None and not (isinstance(picture, str) and THUMBNAIL.fullmatch(picture)):
        raise ValueError(f"the thumbnail must be a file of skipped/, got {picture!r}")


def save_thumbnail(path: Path, frame: NDArray[np.uint8]) -> None:
    """Write a frame (H, W, 3) uint8 RGB as a small JPEG."""
    picture = Image.fromarray(frame)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="JPEG", quality=THUMBNAIL_QUALITY)
