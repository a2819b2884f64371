"""Clips side by side, under their titles: as a picture of a few frames and as a film of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.video import write_video

SHOWN_FRAMES = 4  # of each clip in the picture
SHOWN_HEIGHT = 256  # pixels; higher frames are made smaller, so that films of eight clips play
TITLE_HEIGHT = 16  # pixels

Columns = Mapping[str, Sequence[Frames]]  # title -> the frames (F, H, W, 3) of each clip


def write_strip(path: Path, columns: Columns) -> None:
    """Write a picture with a row for each clip and `SHOWN_FRAMES` frames of it for each column.

    All frames have one size; a column of single frames shows each of them once.
    """
    shown = {
        title: [frames[_spread(len(frames))] for frames in clips]
        for title, clips in _small(columns).items()
    }
    widths = [sum(frame.shape[1] for frame in clips[0]) for clips in shown.values()]
    rows = [
        np.concatenate([frame for clips in row for frame in clips], axis=1)
        for row in zip(*shown.values(), strict=True)
    ]
    with atomic_path(path) as temporary:
        picture = np.concatenate([_titles(list(shown), widths), *rows])
        Image.fromarray(picture).save(temporary)


def write_film(path: Path, columns: Columns, fps: float) -> None:
    """Write a video with a row for each clip; a column of single frames stands still."""
    write_video(path, film_frames(columns), fps)


def film_frames(columns: Columns) -> Iterator[Frames]:
    """Yield the `(H, W, 3)` frames of that video."""
    columns = _small(columns)
    first = [clips[0] for clips in columns.values()]
    titles = _titles(list(columns), [frames.shape[2] for frames in first])
    for index in range(max(map(len, first))):
        rows = [
            np.concatenate([frames[min(index, len(frames) - 1)] for frames in row], axis=1)
            for row in zip(*columns.values(), strict=True)
        ]
        yield np.concatenate([titles, *rows])


def _spread(num_frames: int) -> list[int]:
    """Return the indices of up to `SHOWN_FRAMES` frames, the first and the last among them."""
    places = np.linspace(0, num_frames - 1, min(num_frames, SHOWN_FRAMES))
    return [int(place) for place in places.round()]


def _small(columns: Columns) -> dict[str, list[Frames]]:
    return {title: [_shrunk(frames) for frames in clips] for title, clips in columns.items()}


def _shrunk(frames: Frames) -> Frames:
    height, width = frames.shape[1:3]
    if height <= SHOWN_HEIGHT:
        return frames
    size = (SHOWN_HEIGHT, round(width * SHOWN_HEIGHT / height))
    return np.stack([fit_frame(frame, *size, "squash") for frame in frames])


def _titles(titles: Sequence[str], widths: Sequence[int]) -> Frames:
    """Return a `(TITLE_HEIGHT, sum(widths), 3)` band with each title over its own column."""
    bands = []
    for title, width in zip(titles, widths, strict=True):
        band = Image.new("RGB", (width, TITLE_HEIGHT), "white")
        font = ImageFont.load_default(TITLE_HEIGHT * 0.7)
        ImageDraw.Draw(band).text((2, TITLE_HEIGHT // 2), title, "black", font, anchor="lm")
        bands.append(np.asarray(band))
    return np.concatenate(bands, axis=1)
