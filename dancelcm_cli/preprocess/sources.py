"""Which videos there are, folders of their frames included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.data.images import VIDEO_SUFFIXES, natural_key
from dancelcm_cli.errors import InputError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Source:
    """One video: a file, or a folder of its frames."""

    name: str  # relative to the folder that was given, with forward slashes
    path: Path


def find_videos(videos: Path, output: Path | None = None) -> list[Source]:
    """Return the video `videos`, or all that the folder `videos` holds at any depth.

    A folder of at least two pictures and no video is one, frame by frame. They come in natural
    order (`clip 2` before `clip 10`). Left out is what is hidden or lies in a hidden folder, what
    lies in the folder `output`, which is written and may be one of those in `videos`, and the
    preview of a video beside it.

    Raises:
        InputError: There is no video.
    """
    if not videos.exists():
        raise InputError(
            f"{videos} must be a video or a folder of videos, but it does not exist.",
            hint="Check the spelling.",
        )
    if videos.is_file() or _is_sequence(videos):
        return [Source(videos.absolute().name, videos)]
    found = [
        path
        for path in _visible(videos, output)
        if (_is_sequence(path) if path.is_dir() else path.suffix.lower() in VIDEO_SUFFIXES)
    ]
    previews = {path.with_name(preview_name(path)) for path in found}
    sources = [
        Source(path.relative_to(videos).as_posix(), path) for path in found if path not in previews
    ]
    if not sources:
        raise InputError(
            f"{videos} must hold videos, got none.",
            hint=f"These are looked for: {' '.join(sorted(VIDEO_SUFFIXES))}, and folders of frames",
        )
    return sorted(sources, key=lambda source: natural_key(source.name))


def preview_name(video: Path) -> str:
    """Return what the preview of `video` is called, unless the user calls it otherwise."""
    return f"{video.stem}-preview.mp4"


def share_of(sources: list[Source], part: int, parts: int) -> list[Source]:
    """Return those of `sources` that belong to share `part`, from 1 to `parts`.

    The size in bytes decides: it is known without reading, depends on no other source, and copies
    under other names fall into the same share, where they are found.
    """

    def share(source: Source) -> int:
        files = source.path.iterdir() if source.path.is_dir() else [source.path]
        size = sum(file.stat().st_size for file in files if file.exists())  # no broken links
        return int(hashlib.sha256(str(size).encode()).hexdigest(), 16) % parts + 1

    return [source for source in sources if share(source) == part]


def _visible(videos: Path, output: Path | None) -> Iterator[Path]:
    """Yield all in the folder `videos` that is not hidden, nor written by us into `output`."""
    ours, root = None if output is None else output.resolve(), videos.resolve()
    within = ours.relative_to(root) if ours is not None and root in ours.parents else None
    for path in videos.rglob("*"):
        place = path.relative_to(videos)
        hidden = any(part.startswith(".") for part in place.parts)
        if not hidden and (within is None or not place.is_relative_to(within)):
            yield path


def _is_sequence(folder: Path) -> bool:
    suffixes = [path.suffix.lower() for path in folder.iterdir() if not path.name.startswith(".")]
    pictures = sum(suffix in PICTURE_SUFFIXES for suffix in suffixes)
    return pictures > 1 and VIDEO_SUFFIXES.isdisjoint(suffixes)
