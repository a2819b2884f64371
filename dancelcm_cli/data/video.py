"""Videos from and to files: decord reads them, the ffmpeg of imageio-ffmpeg writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from shlex import quote

import decord
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Fit
from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.images import is_picture
from dancelcm_cli.errors import InputError
from dancelcm_cli.native_output import native_output_hidden

CRF = 16  # x264's quality: visually lossless
# RGB is converted with the same matrix that the tags announce; players guess without them.
BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video without decoding all of it."""

    path: Path
    num_frames: int
    fps: Fraction  # the average where the rate varies
    height: int  # pixels, upright: a phone's rotation is applied
    width: int

    @property
    def seconds(self) -> float:
        """How long the video plays."""
        return float(self.num_frames / self.fps)


def probe_video(path: Path) -> VideoInfo:
    """Return size, length and frame rate of the video at `path`.

    Raises:
        InputError: There is no video there, or it cannot be decoded.
    """
    return _describe(path, _open(path))


def iter_frames(path: Path, indices: Sequence[int] | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames at `indices` (all: None) one by one as (H, W, 3) uint8 RGB.

    Raises:
        InputError: As `probe_video`; also when an index is outside, or a frame is damaged.
    """
    reader = _open(path)
    wanted = range(len(reader)) if indices is None else indices
    outside = [index for index in wanted if not 0 <= index < len(reader)]
    if outside:
        raise InputError(
            f"A frame of {path} must be in 0..{len(reader) - 1}, got {outside[0]}.",
            hint="Ask for fewer frames, or a smaller frame stride.",
        )
    for index in wanted:
        yield _decode(path, reader, index)


def read_frames(
    path: Path,
    indices: Sequence[int] | None = None,
    height: int | None = None,
    width: int | None = None,
    fit: Fit = "squash",
) -> tuple[NDArray[np.uint8], VideoInfo]:
    """Return frames as (F, H, W, 3) uint8 RGB, and the video's own size and rate.

    Args:
        path: The video.
        indices: Which frames; None for all.
        height: Height in pixels to fit each frame to as it is decoded; None for the video's own.
        width: The same for the width.
        fit: How, see `fit_frame`.

    Raises:
        InputError: As `iter_frames`.
    """
    info = probe_video(path)
    size = (height or info.height, width or info.width)
    frames = [fit_frame(frame, *size, fit) for frame in iter_frames(path, indices)]
    return np.array(frames, np.uint8).reshape(-1, *size, 3), info


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction | float,
    audio_from: Path | None = None,
) -> None:
    """Write (H, W, 3) uint8 RGB frames as H.264 that plays everywhere, or nothing at all.

    An odd height or width is made even, as the format demands, by repeating the last row or column.
    The sound of the video `audio_from`, where it has any, plays along from the first frame on.

    Raises:
        InputError: No frames came, their size changed, or the file could not be written.
    """
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise InputError(f"{path} must get at least one frame, got none.")
    with atomic_path(path) as temporary:
        written = _encode(temporary, chain([first], remaining), first.shape, fps, audio_from)
        found = probe_video(temporary).num_frames
        if found != written:
            raise InputError(
                f"{path} must hold {written} frames, got {found} when it was read back.",
                hint="Check that the disk is not full.",
            )


def _encode(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    shape: tuple[int, ...],
    fps: Fraction | float,
    audio_from: Path | None,
) -> int:
    """Pipe `frames` to ffmpeg; return their number."""
    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    margin = ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0))
    sound = audio_from if audio_from is not None and _has_sound(audio_from) else None
    options = ["-crf", str(CRF), "-vf", BT709, "-movflags", "+faststart"]
    if sound is not None:
        options += ["-af", "apad", "-shortest"]  # silence, not an early end, where it is too short
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=float(fps),
        codec="libx264",
        quality=None,  # `-crf` says it
        macro_block_size=1,
        ffmpeg_log_level="error",
        output_params=options,
        audio_path=None if sound is None else str(sound),
        audio_codec="aac",
    )
    count = 0
    with closing(writer):
        writer.send(None)
        for frame in frames:
            if frame.shape != shape:
                raise InputError(f"A frame must have shape {shape}, got {frame.shape}.")
            try:
                writer.send(np.pad(frame, margin, mode="edge").tobytes())
            except OSError as error:
                raise InputError(f"{path.name} could not be encoded: {error}") from error
            count += 1
    return count


def _has_sound(path: Path) -> bool:
    probe = imageio_ffmpeg.read_frames(str(path))
    with closing(probe):
        return "audio_codec" in next(probe)


def _open(path: Path) -> decord.VideoReader:
    if not path.exists():
        raise InputError(
            f"{path} must be a video, but it does not exist.", hint="Check the spelling."
        )
    if path.is_dir():
        raise InputError(f"{path} must be a video, got a folder.", hint="Give one video file.")
    decord.logging.set_level(decord.logging.QUIET)
    try:
        with native_output_hidden():  # decord prints about a bad file; we say it better
            return decord.VideoReader(str(path), num_threads=1)
    except (decord.DECORDError, RuntimeError, AssertionError, UnicodeError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> InputError:
    if path.stat().st_size == 0:
        return InputError(f"{path} must be a video, got an empty file.", hint="Copy it again.")
    if is_picture(path):
        return InputError(
            f"{path} must be a video, but it is a picture.", hint="Give an mp4 with several frames."
        )
    return InputError(
        f"{path} must be a video that can be decoded, but it is damaged or of another format.",
        hint=f"Convert it: `ffmpeg -i {quote(str(path))} -pix_fmt yuv420p converted.mp4`",
    )


def _describe(path: Path, reader: decord.VideoReader) -> VideoInfo:
    height, width, _ = _decode(path, reader, 0).shape
    rate = float(reader.get_avg_fps())
    if not 0 < rate < 10_000:
        raise InputError(f"The frame rate of {path} must be above 0 frames/s, got {rate}.")
    # 1001 is the denominator of the broadcast rates, such as 30000/1001.
    fps = Fraction(rate).limit_denominator(1001)
    return VideoInfo(path, len(reader), fps, height, width)


def _decode(path: Path, reader: decord.VideoReader, index: int) -> NDArray[np.uint8]:
    try:
        frame: NDArray[np.uint8] = reader[index].asnumpy()
    except (decord.DECORDError, RuntimeError, StopIteration) as error:
        raise InputError(
            f"{path} must be a whole video, but frame {index} cannot be decoded.",
            hint="Copy or convert the video again; a download may have been cut short.",
        ) from error
    if frame.shape[2] == 3:
        return frame
    # Rows of narrow videos (48 pixels, say) come padded, and decord takes the padding for channels.
    height, width = frame.shape[:2]
    return frame.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)
