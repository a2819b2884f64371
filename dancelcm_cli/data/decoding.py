"""One opened video, whose frames can be had by their number."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dancelcm_cli.data.containers import SELF_CONTAINED
from dancelcm_cli.data.images import is_picture
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import require_plain_file

# Tags may be no Unicode; PyAV 19 takes them as they are and no longer has the argument.
ANY_TAGS: Any = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
# A file that only names other files, of any format: it is told so, and not followed in any case.
PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"[playlist]", b"v=0")
MOST_FRAMES = 4_000_000  # 37 hours at 30 frames/s: a table of more is a lie, or a long night
MOST_PIXELS = 40_000_000  # of a frame: 8K has 33 million
MOST_STREAMS = 64
PIXEL_LIMIT = {"max_pixels": str(MOST_PIXELS)}
BY_STREAM: Any = {"stream_options": [PIXEL_LIMIT] * MOST_STREAMS}  # PyAV types it as texts
SLOWEST, FASTEST = 0.001, 10_000.0  # frames/s


@dataclass(frozen=True)
class _Timeline:
    """Where the frames of a video are, by their number in the order in which they are shown.

    `stamps` are their times in the stream's unit. AVI and bare streams tell none: there they are
    empty, and a frame has its number only by counting from the first.
    """

    num_frames: int
    stamps: list[int]
    keyframes: list[int]  # numbers of the frames that decoding can start at; the first is 0

    def keyframe_before(self, number: int) -> int:
        return self.keyframes[max(0, bisect_right(self.keyframes, number) - 1)]


class Decoder:
    """The frames of one video, decoded when they are asked for and not before.

    Going on decodes all frames on the way from the last keyframe; going back starts at a keyframe
    again. So frames are best asked for in ascending order. A few are in memory at most.

    Raises:
        InputError: There is no video there, or it cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container = _open(path)
        try:
            self._timeline = _read_timeline(path, self._container)
            self._rewind()
            self._size: tuple[int, int] | None = None  # height and width as they are stored
            self._shown = (-1, np.empty((0, 0, 3), np.uint8))
            self.fps = _mean_rate(path, self._stream, self._timeline)
            self.height, self.width = self.frame(0).shape[:2]
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._container.close()

    def __len__(self) -> int:
        return self._timeline.num_frames

    @property
    def times(self) -> NDArray[np.float64]:
        """When each frame is shown (F,), in seconds after the first."""
        if not self._timeline.stamps:
            return np.arange(len(self)) / float(self.fps)
        stamps = np.array(self._timeline.stamps, np.float64)
        times: NDArray[np.float64] = (stamps - stamps[0]) * float(self._stream.time_base or 1)
        return times

    def frame(self, number: int) -> NDArray[np.uint8]:
        """Return a frame as (H, W, 3) uint8 RGB, upright.

        Raises:
            InputError: It is damaged or missing.
        """
        if self._shown[0] != number:
            keyframe = self._timeline.keyframe_before(number)
            if number < self._next or keyframe > self._next:
                self._seek(keyframe)
            frame = self._decode_until(number)
            if frame is None:  # some files are not sought exactly
                self._rewind()
                frame = self._decode_until(number)
            if frame is None:
                raise self._missing(number)
            self._shown = (number, self._to_rgb(frame))
        return self._shown[1]

    @property
    def _stream(self) -> VideoStream:
        return self._container.streams.video[0]

    def _seek(self, keyframe: int) -> None:
        if not self._timeline.stamps:
            self._rewind()
            return
        self._container.seek(self._timeline.stamps[keyframe], stream=self._stream)
        self._go_on_at(keyframe)

    def _rewind(self) -> None:
        self._container.close()
        self._container = _open(self._path)
        self._go_on_at(0)

    def _go_on_at(self, number: int) -> None:
        self._next = number
        self._frames: Iterator[VideoFrame] = self._container.decode(self._stream)

    def _decode_until(self, number: int) -> VideoFrame | None:
        """Return the frame of that number, or None if the next ones are later or there is none."""
        stamps = self._timeline.stamps
        try:
            for frame in self._frames:
                place = self._next
                if stamps and frame.pts is not None:
                    place = bisect_left(stamps, frame.pts)
                    if place == len(stamps) or stamps[place] != frame.pts:
                        continue  # one that the file says is not to be shown
                self._next = place + 1
                if place >= number:
                    return frame if place == number else None
        except (av.FFmpegError, ValueError) as error:
            raise self._missing(number) from error
        return None

    def _to_rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        self._size = height, width = self._size or (frame.height, frame.width)
        picture = frame.to_ndarray(format="rgb24", height=height, width=width)
        return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)), np.uint8)

    def _missing(self, number: int) -> InputError:
        return InputError(
            f"{self._path} must be a whole video, but frame {number} cannot be decoded.",
            hint="Copy or convert the video again; a download may have been cut short.",
        )


def _open(path: Path) -> InputContainer:
    require_plain_file(path, "a video", hint="Give one video file.")
    try:
        with path.open("rb") as content:
            start = content.read(64)
    except OSError as error:
        raise _unreadable(path) from error
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(PLAYLISTS):
        raise InputError(
            f"{path} must be a video, got a list that names other files.",
            hint="Give the video itself.",
        )
    av.logging.set_level(None)  # old torchvisions switch it on: decoding threads then wait for ever
    try:
        container = _open_container(path)
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable(path) from error
    streams: Any = container.streams.video  # one of an unknown codec has no context
    if not streams or len(container.streams) > MOST_STREAMS or streams[0].codec_context is None:
        container.close()
        raise _unreadable(path)
    stream = streams[0]
    stream.codec_context.options = PIXEL_LIMIT
    stream.thread_type = "AUTO"
    return container


def _open_container(path: Path) -> InputContainer:
    """Open a file; what is decoded on the way, to learn its size, is of at most `MOST_PIXELS`."""
    container: InputContainer
    address: Any = {"file": f"file:{path}", "mode": "r", "options": SELF_CONTAINED}
    try:
        container = av.open(**address, **BY_STREAM, **ANY_TAGS)
    except av.FFmpegError:
        raise
    except ValueError:  # formats without a table of streams, such as MPEG's, take no such options
        container = av.open(**address, **ANY_TAGS)
    return container


def _unreadable(path: Path) -> InputError:
    if path.stat().st_size == 0:
        return InputError(f"{path} must be a video, got an empty file.", hint="Copy it again.")
    if is_picture(path):
        return InputError(
            f"{path} must be a video, but it is a picture.", hint="Give an mp4 with several frames."
        )
    return InputError(
        f"{path} must be a video that can be decoded, but it is damaged or of another format, or"
        f" has more than {MOST_PIXELS // 1_000_000} million pixels a frame.",
        hint=f"Convert it: `ffmpeg -i {quote(str(path))} -pix_fmt yuv420p converted.mp4`",
    )


def _read_timeline(path: Path, container: InputContainer) -> _Timeline:
    """Read the packets of a video through, without decoding them."""
    stream = container.streams.video[0]
    packets, whole = 0, True
    shown: list[tuple[int | None, bool]] = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                packets += 1
                whole = whole and not packet.is_corrupt
                if not packet.is_discard:
                    shown.append((packet.pts, packet.is_keyframe))
                    if len(shown) > MOST_FRAMES:
                        raise _too_long(path)
    except av.FFmpegError as error:
        raise _unreadable(path) from error
    promised = stream.frames if "mp4" in container.format.name else 0
    if not shown or not whole or packets < promised:
        raise _unreadable(path)
    stamps = sorted(stamp for stamp, _ in shown if stamp is not None)
    if len(stamps) < len(shown) or container.format.name == "avi":
        return _Timeline(len(shown), [], [0])
    gap = float(np.median(np.diff(np.array(stamps, np.float64)))) if len(stamps) > 1 else 1.0
    if gap == 0:  # most frames share their time with another
        raise _unreadable(path)
    if stamps[-1] - stamps[0] > MOST_FRAMES * gap:
        raise _too_long(path)
    keys = {bisect_left(stamps, stamp or 0) for stamp, is_keyframe in shown if is_keyframe}
    return _Timeline(len(shown), stamps, sorted(keys | {0}))


def _too_long(path: Path) -> InputError:
    return InputError(
        f"{path} must have at most {MOST_FRAMES:,} frames, got more, or a pause as long.",
        hint="Cut it, or convert it again if it is shorter than that.",
    )


def _mean_rate(path: Path, stream: VideoStream, timeline: _Timeline) -> Fraction:
    rate = stream.average_rate
    if not timeline.stamps:  # then the rate is a guess, unless the length is known
        length = stream.duration and stream.time_base and stream.duration * stream.time_base
        rate = timeline.num_frames / length if length else stream.guessed_rate
    if rate is None or not SLOWEST <= rate < FASTEST:
        raise InputError(f"The frame rate of {path} must be above 0 frames/s, got {rate}.")
    return Fraction(rate).limit_denominator(1001)  # as in 30000/1001, the broadcast rate
