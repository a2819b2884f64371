"""The kinds of video file that are read and written, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.errors import InputError


@dataclass(frozen=True)
class Container:
    """A kind of file: ffmpeg's names of what is in it.

    `crf` is the video codec's quality, lower is better. A sound in one of `kept_sounds` is passed
    on as it is, any other is turned into `sound_codec`.
    """

    codec: str
    crf: int
    options: tuple[str, ...]
    sound_codec: str
    kept_sounds: frozenset[str]


# What ffmpeg may open as a video, by its names of formats. It knows hundreds more, among them lists
# of other files, patterns of names, addresses and screens; none of these is a video of the user's.
READABLE = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "gif", "apng"),
    *("h264", "hevc", "m4v", "ivf", "obu", "av1", "mxf", "nut", "dv", "vc1", "vvc", "wtv"),
)
SELF_CONTAINED = {"protocol_whitelist": "file", "format_whitelist": ",".join(READABLE)}
# Both qualities are visually lossless. An mp4's index comes first, so that it plays while it loads.
NO_RANDOM_IDS = ("-fflags", "+bitexact")  # which would make every webm differ from all others
CONTAINERS = {
    ".mp4": Container("libx264", 16, ("-movflags", "+faststart"), "aac", frozenset({"aac", "mp3"})),
    ".webm": Container(
        "libvpx-vp9",
        10,
        ("-b:v", "0", "-deadline", "good", "-cpu-used", "3", "-row-mt", "1", *NO_RANDOM_IDS),
        "libopus",
        frozenset({"opus", "vorbis"}),
    ),
}


def container_of(path: Path) -> Container:
    """Return the kind of the video file `path`, by its suffix.

    Raises:
        InputError: it is none that can be written.
    """
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise InputError(
            f"A video must be an {' or a '.join(CONTAINERS)} file, got {path}.",
            hint=f"Write {path.with_suffix('.mp4').name}",
        )
    return container
