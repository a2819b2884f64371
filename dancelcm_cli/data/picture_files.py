"""Frames written as pictures: one animated GIF, or a folder of PNGs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dancelcm_cli.data.atomic import atomic_folder, atomic_path

GIF_TICKS = 100  # a second; a frame lasts a whole number of them
GIF_FASTEST = 50  # frames/s: browsers slow down what is faster


def write_gif(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction | float,
    num_frames: int,
    metadata: Mapping[str, str],
) -> None:
    """Write `num_frames` (H, W, 3) uint8 RGB frames as a GIF that repeats itself.

    All frames have the 256 colours that are best for the first, so that what stands still does not
    flicker. The metadata becomes the GIF's comment. There should be at most `GIF_FASTEST` frames/s.
    """
    pictures = _in_one_palette(frames)
    with atomic_path(path) as temporary:
        next(pictures).save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures,
            duration=_durations(num_frames, fps),
            loop=0,
            comment="\n".join(metadata.values()).encode(),
        )


def write_pictures(
    folder: Path, frames: Iterable[NDArray[np.uint8]], metadata: Mapping[str, str]
) -> None:
    """Write (H, W, 3) uint8 RGB frames as `000000.png`, ... into `folder`, which is made anew."""
    texts = PngInfo()
    for key, value in metadata.items():
        texts.add_itxt(key.capitalize(), value)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as temporary:
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(temporary / f"{index:06d}.png", pnginfo=texts)


def _in_one_palette(frames: Iterable[NDArray[np.uint8]]) -> Iterator[Image.Image]:
    palette: Image.Image | None = None
    for frame in frames:
        picture = Image.fromarray(frame)
        if palette is None:
            palette = picture.quantize(256, Image.Quantize.MEDIANCUT)
        yield picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def _durations(num_frames: int, fps: Fraction | float) -> list[int]:
    """Return how long each frame lasts, in ms; rounding errors do not add up."""
    ticks = [round(GIF_TICKS * index / fps) for index in range(num_frames + 1)]
    return [(end - start) * 1000 // GIF_TICKS for start, end in pairwise(ticks)]
