"""Moving pictures from a video or from a folder of its frames, read as they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.data.decoding import Decoder
from dancelcm_cli.data.images import list_pictures, read_image
from dancelcm_cli.data.video import frame_times, iter_frames, probe_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import require_plain_file


@dataclass(frozen=True, eq=False)
class Footage:
    """What is known of a video, or a folder of pictures, without decoding all of it."""

    path: Path
    pictures: tuple[Path, ...]  # of a folder in natural order; none of a video
    times: NDArray[np.float64]  # (F,) when each frame is shown, seconds after the first
    fps: Fraction  # the mean where it varies
    height: int  # pixels, upright
    width: int

    @property
    def num_frames(self) -> int:
        """F, the number of frames."""
        return len(self.times)

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames (H, W, 3) uint8 RGB at `indices` one by one.

        Raises:
            InputError: One is damaged or of another size.
        """
        if self.pictures:
            yield from map(self.picture, indices)
        else:
            yield from iter_frames(self.path, indices)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a frame (H, W, 3) uint8 RGB of a folder.

        Raises:
            InputError: It is damaged or of another size.
        """
        picture = read_image(self.pictures[index])
        if picture.shape[:2] != (self.height, self.width):
            raise InputError(
                f"The pictures in {self.path} must be {self.width} x {self.height} pixels, got"
                f" {picture.shape[1]} x {picture.shape[0]} ({self.pictures[index].name}).",
                hint="Keep only the frames of one clip in that folder.",
            )
        return picture


class FootageReader:
    """The frames of `footage` one by one, from a video that stays open from one to the next.

    They are best asked for in ascending order: see `Decoder`.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return a frame (H, W, 3) uint8 RGB.

        Raises:
            InputError: It is damaged or missing.
        """
        if self._footage.pictures:
            return self._footage.picture(index)
        return self._video.frame(index)

    @cached_property
    def _video(self) -> Decoder:
        return Decoder(self._footage.path)


def open_footage(path: Path, folder_fps: float) -> Footage:
    """Look at a video or a folder of pictures, which are shown at `folder_fps` frames per second.

    Raises:
        InputError: It is neither, or cannot be decoded.
    """
    if not path.is_dir():
        info = probe_video(path)
        return Footage(path, (), frame_times(path), info.fps, info.height, info.width)
    pictures = tuple(list_pictures(path))
    if not pictures:
        raise InputError(
            f"{path} must hold pictures, got none.", hint="Name a video, or a folder of frames."
        )
    height, width, _ = read_image(pictures[0]).shape
    fps = Fraction(folder_fps).limit_denominator(1001)
    return Footage(path, pictures, np.arange(len(pictures)) / float(fps), fps, height, width)


def footage_sha256(path: Path) -> str:
    """Return a hash of the content of a video, or of a folder's pictures; names do not matter.

    Raises:
        InputError: A file cannot be opened.
    """
    digest = hashlib.sha256()
    try:
        for file in list_pictures(path) if path.is_dir() else [path]:
            require_plain_file(file, "a video or a picture")
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    except OSError as error:
        raise InputError(f"{path} must be readable, got: {error.strerror}.") from error
    return digest.hexdigest()
