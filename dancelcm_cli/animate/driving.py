"""The driving clip as it is stored: a video, or a folder with one picture a frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.images import list_pictures, read_image
from dancelcm_cli.data.video import frame_times, iter_frames, probe_video
from dancelcm_cli.data.weight_files import file_sha256
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.keypoints import annotation_path

FRAMES_PER_SECOND = 12.0  # of a folder of pictures, which has no rate of its own


@dataclass(frozen=True)
class Clip:
    """A driving clip; its frames are read when they are needed."""

    path: Path
    pictures: tuple[Path, ...]  # of a folder; none of a video
    times: NDArray[np.float64]  # (F,) when each frame is shown, seconds after the first
    fps: Fraction  # the mean where it varies
    size: tuple[int, int]  # height and width, pixels

    @property
    def num_frames(self) -> int:
        """F, the number of frames."""
        return len(self.times)

    def frames(self, indices: Sequence[int]) -> Iterator[Frames]:
        """Yield the frames `(H, W, 3)` at `indices` one by one.

        Raises:
            InputError: one is damaged or of another size.
        """
        if not self.pictures:
            yield from iter_frames(self.path, indices)
            return
        for index in indices:
            picture = read_image(self.pictures[index])
            if picture.shape[:2] != self.size:
                raise InputError(
                    f"The pictures in {self.path} must be of one size, got {_shown(self.size)} and"
                    f" {_shown(picture.shape)} ({self.pictures[index].name}).",
                    hint="Keep only the frames of one clip in that folder.",
                )
            yield picture

    @cached_property
    def sha256(self) -> str:
        """A hash of the stored frames."""
        files = self.pictures or (self.path,)
        return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()


def open_clip(driving: Path, folder_fps: float) -> Clip:
    """Look at a driving clip; `folder_fps` is the rate of a folder of pictures.

    Raises:
        InputError: it is no clip, or it has less than two frames.
    """
    pictures = _pictures_in(driving)
    if pictures:
        height, width, _ = read_image(pictures[0]).shape
        fps = Fraction(folder_fps).limit_denominator(1001)
        clip = Clip(driving, pictures, np.arange(len(pictures)) / float(fps), fps, (height, width))
    else:
        info = probe_video(driving)
        clip = Clip(driving, (), frame_times(driving), info.fps, (info.height, info.width))
    if clip.num_frames < 2:
        raise InputError(
            f"{driving} must have at least 2 frames, got {clip.num_frames}.",
            hint="Give a video in which somebody moves.",
        )
    return clip


def driving_sha256(driving: Path) -> str:
    """Return a hash of all files that the motion of `driving` may be read from."""
    files = [driving] if driving.is_file() else list_pictures(driving)
    annotation = annotation_path(driving)
    files += [annotation] if annotation and annotation != driving else []
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()


def _pictures_in(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    pictures = tuple(list_pictures(folder))
    if not pictures:
        raise InputError(
            f"{folder} must be a video or a folder of pictures, but it holds no picture.",
            hint="Name a video file, such as dance.mp4.",
        )
    return pictures


def _shown(size: Sequence[int]) -> str:
    return f"{size[1]} x {size[0]}"
