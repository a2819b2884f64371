"""Where the frames of a video come from: a video file, or pictures, one a frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.data.images import VIDEO_SUFFIXES, natural_key, read_image
from dancelcm_cli.data.video import iter_frames, probe_video
from dancelcm_cli.data.weight_files import file_sha256
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.frame_names import by_disco_video, frame_numbers
from dancelcm_cli.plain_files import require_plain_file

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
LOSSLESS_SUFFIXES = frozenset({".png", ".bmp"})
SINGLE_VIDEO = "frames"  # the name of a video whose frames lie in the listed folder itself


@dataclass(frozen=True)
class VideoFile:
    """The frames of a video file."""

    path: Path

    @cached_property
    def num_frames(self) -> int:
        """How many frames the file holds."""
        return probe_video(self.path).num_frames

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames at `indices` one by one, uint8 RGB (H, W, 3)."""
        return iter_frames(self.path, indices)

    @property
    def lossless(self) -> bool:
        """Whether the frames are surely as they were before they were stored."""
        return False

    @property
    def numbers(self) -> None:
        """Frames of a file are known by their place alone."""


@dataclass(frozen=True)
class PictureFolder:
    """The frames of a folder with one picture a frame."""

    path: Path
    pictures: tuple[Path, ...]

    @property
    def num_frames(self) -> int:
        """How many pictures there are."""
        return len(self.pictures)

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames at `indices` one by one, uint8 RGB (H, W, 3)."""
        return (read_image(self.pictures[index]) for index in indices)

    @property
    def lossless(self) -> bool:
        """Whether the frames are surely as they were before they were stored."""
        return all(picture.suffix.lower() in LOSSLESS_SUFFIXES for picture in self.pictures)

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """The number in the name of each picture, None where they do not tell them apart."""
        return frame_numbers(self.pictures)


@dataclass(frozen=True)
class PickedFrames:
    """Those frames of `source` that are at `places`, in this order."""

    source: FrameSource
    places: tuple[int, ...]

    @property
    def path(self) -> Path:
        """Where all of the frames are."""
        return self.source.path

    @property
    def num_frames(self) -> int:
        """How many frames were picked."""
        return len(self.places)

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames at `indices` one by one, uint8 RGB (H, W, 3)."""
        return self.source.frames([self.places[index] for index in indices])

    @property
    def lossless(self) -> bool:
        """Whether the frames are surely as they were before they were stored."""
        return self.source.lossless

    @property
    def numbers(self) -> None:
        """What was picked is known by its place alone."""


FrameSource = VideoFile | PictureFolder | PickedFrames


@dataclass(frozen=True)
class Split:
    """Videos of a data set by name, what they are called together and what to know of them."""

    label: str
    sources: dict[str, FrameSource]
    notes: tuple[str, ...] = ()


def list_sources(folder: Path) -> dict[str, FrameSource]:
    """Return the videos of `folder` by name, in order of the names.

    A video is a file (named by its stem) or a folder of pictures (named by the folder); pictures
    that lie in `folder` itself, without any videos beside them, are told apart by the names that
    DisCo gives them, or else are the one video "frames".

    Raises:
        InputError: There is no video, a gif, or two videos of one name.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} must be a folder of videos, but there is no such folder.",
            hint="Give a folder of video files, or of folders with one PNG a frame.",
        )
    sources: dict[str, FrameSource] = {}
    for entry in sorted(folder.iterdir()):
        source = _source(entry)
        if source is None:
            continue
        name = entry.stem if entry.suffix.lower() in VIDEO_SUFFIXES else entry.name
        if name in sources:
            raise InputError(
                f"Each video must be there once, got {sources[name].path.name} and {entry.name}"
                f" in {folder}.",
                hint="Move one of them elsewhere.",
            )
        sources[name] = source
    pictures = list_pictures(folder)
    if pictures and not sources:
        videos = by_disco_video(pictures) or {SINGLE_VIDEO: pictures}
        sources = {name: PictureFolder(folder, found) for name, found in videos.items()}
    if not sources:
        raise InputError(
            f"{folder} must hold videos, got none.",
            hint="Give a folder of video files, or of folders with one PNG a frame.",
        )
    return sources


def list_pictures(folder: Path) -> tuple[Path, ...]:
    """Return the pictures of `folder` in the order of the numbers in their names."""
    pictures = (
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in PICTURE_SUFFIXES and not entry.name.startswith(".")
    )
    return tuple(sorted(pictures, key=lambda picture: natural_key(picture.name)))


def content_sha256(source: FrameSource) -> str:
    """Return a hash of the files in which the frames of `source` are stored, names aside.

    Raises:
        InputError: One is no ordinary file.
    """
    if isinstance(source, PickedFrames):
        return content_sha256(source.source)
    files = source.pictures if isinstance(source, PictureFolder) else (source.path,)
    return hashlib.sha256("".join(map(_file_sha256, files)).encode()).hexdigest()


def _source(entry: Path) -> FrameSource | None:
    suffix = entry.suffix.lower()
    if entry.name.startswith("."):
        return None
    if entry.is_dir():
        pictures = list_pictures(entry)
        return PictureFolder(entry, pictures) if pictures else None
    if suffix == ".gif":
        raise InputError(
            f"{entry} must be a video or a folder of PNGs, got a gif: its 256 colours and its frame"
            " times would be scored, not the frames.",
            hint="Save the frames as PNGs in a folder of that name, and take the gif away.",
        )
    return VideoFile(entry) if suffix in VIDEO_SUFFIXES else None


def _file_sha256(path: Path) -> str:
    """Return the hash of a file; each is read once by a process, unless it changes meanwhile."""
    require_plain_file(path, "a picture or a video")
    state = path.stat()
    return _sha256_of_version(path, state.st_size, state.st_mtime_ns)


@cache
def _sha256_of_version(path: Path, size: int, modified: int) -> str:
    return file_sha256(path)
