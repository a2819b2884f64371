"""What the names of pictures say: which video they are of, and which of its frames they show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# The names that DisCo gives to frames of all videos in one folder, as its `utils_asa.py` and
# `tiktok_video_dataset.py` read them. Dots within are gone: `TiktokDance_00337_0133png.png`.
_DISCO_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r".*?TiktokDance_(?P<video>\d+(?:_\d+_1x1)?)_(?P<frame>\d+)\D*",
        r"(?P<video>\d+_\d+_1x1)__?(?P<frame>\d+)\D*",
        r"(?P<video>S\d{3}C\d{3}P\d{3}R\d{3}A\d{3})_(?P<frame>\d{4})\D*",  # NTU
    )
)


def disco_video(name: str) -> str | None:
    """Return the video, such as "00337" or "201_002_1x1", that DisCo's frame `name` is of."""
    stem = Path(name).stem
    for pattern in _DISCO_NAMES:
        match = pattern.fullmatch(stem)
        if match:
            return match["video"]
    return None


def by_disco_video(pictures: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """Return those of `pictures` that have names of DisCo's, by video."""
    videos: dict[str, list[Path]] = {}
    for picture in pictures:
        video = disco_video(picture.name)
        if video is not None:
            videos.setdefault(video, []).append(picture)
    return {video: tuple(videos[video]) for video in sorted(videos)}


def frame_numbers(pictures: Sequence[Path]) -> tuple[int, ...] | None:
    """Return the last number in each picture's name, None if they do not tell them apart.

    Data sets count their frames from 0, from 1 or from anywhere.
    """
    numbers = []
    for picture in pictures:
        found = re.findall(r"\d+", picture.stem)
        if not found:
            return None
        numbers.append(int(found[-1]))
    return tuple(numbers) if len(set(numbers)) == len(numbers) else None
