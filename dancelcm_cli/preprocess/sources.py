"""Which videos there are, and which windows of frames they are cut into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.data.images import VIDEO_SUFFIXES
from dancelcm_cli.errors import InputError


@dataclass(frozen=True)
class Source:
    """One video file."""

    name: str  # relative to the folder that was given, with forward slashes
    path: Path


@dataclass(frozen=True)
class Window:
    """Frames of one clip."""

    start: int  # index of the first frame in the video
    num_frames: int
    stride: int

    @property
    def indices(self) -> range:
        """The frames' indices in the video."""
        return range(self.start, self.start + self.num_frames * self.stride, self.stride)

    def __str__(self) -> str:
        return f"frames {self.indices[0]} to {self.indices[-1]}"


def find_videos(videos: Path) -> list[Source]:
    """Return the video `videos`, or all that the folder `videos` holds at any depth.

    They come in natural order (`clip 2` before `clip 10`); hidden files are left out.

    Raises:
        InputError: There is no video.
    """
    if not videos.exists():
        raise InputError(
            f"{videos} must be a video or a folder of videos, but it does not exist.",
            hint="Check the spelling.",
        )
    if videos.is_file():
        return [Source(videos.name, videos)]
    sources = [
        Source(path.relative_to(videos).as_posix(), path)
        for path in videos.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
    ]
    if not sources:
        raise InputError(
            f"{videos} must hold videos, got none.",
            hint=f"These are looked for: {' '.join(sorted(VIDEO_SUFFIXES))}",
        )
    return sorted(sources, key=lambda source: natural_key(source.name))


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Return what to sort `name` by so that its numbers count as numbers, and before text."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    # The text stays part of the key: "2" and "02" are equal numbers but different names.
    return [(False, int(part), part) if part.isdecimal() else (True, 0, part) for part in parts]


def cut_windows(video_frames: int, num_frames: int, stride: int) -> list[Window]:
    """Return as many windows as fit into a video of `video_frames` frames without overlap.

    A window takes every `stride`-th frame; what is left at the end is too short for one.
    """
    last_start = video_frames - (num_frames - 1) * stride - 1
    starts = range(0, last_start + 1, num_frames * stride)
    return [Window(start, num_frames, stride) for start in starts]
