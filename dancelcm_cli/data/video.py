"""Videos from and to files: PyAV reads them, the ffmpeg of imageio-ffmpeg writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Fit
from dancelcm_cli.data.atomic import atomic_path, refuse_full_disk
from dancelcm_cli.data.containers import container_of
from dancelcm_cli.data.decoding import Decoder
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.errors import InputError

FINISH_SECONDS = 600.0  # that ffmpeg may take for what it still holds when the frames are over
NO_METADATA: Mapping[str, str] = MappingProxyType({})
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
    with Decoder(path) as video:
        return _info(path, video)


def iter_frames(path: Path, indices: Sequence[int] | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames at `indices` (all: None) one by one as (H, W, 3) uint8 RGB.

    Raises:
        InputError: As `probe_video`; also when an index is outside, or a frame is damaged.
    """
    with Decoder(path) as video:
        yield from _frames(path, video, indices)


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
    with Decoder(path) as video:
        size = (height or video.height, width or video.width)
        frames = [fit_frame(frame, *size, fit) for frame in _frames(path, video, indices)]
        return np.array(frames, np.uint8).reshape(-1, *size, 3), _info(path, video)


def frame_times(path: Path) -> NDArray[np.float64]:
    """Return when each frame is shown (F,), in seconds after the first; the rate may vary.

    Raises:
        InputError: As `probe_video`.
    """
    with Decoder(path) as video:
        return video.times


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction | float,
    sound: Path | None = None,
    crf: int | None = None,
    metadata: Mapping[str, str] = NO_METADATA,
) -> None:
    """Write (H, W, 3) uint8 RGB frames as a video that plays everywhere, or nothing at all.

    An odd height or width is made even, as the format demands, by repeating the last row or column.

    Args:
        path: An .mp4 (H.264) or .webm (VP9).
        frames: Taken one by one.
        fps: Frames per second.
        sound: A file of the same kind whose sound plays along: see `cut_sound`.
        crf: The codec's quality, from 0 (best) to 51 or 63; None for a visually lossless one.
        metadata: What the file says of itself, by ffmpeg's names, such as "comment".

    Raises:
        InputError: No frames came, their size changed, or the file could not be written.
        OSError: The disk is full.
    """
    container = container_of(path)
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise InputError(f"{path} must get at least one frame, got none.")
    with atomic_path(path) as temporary:
        options = ["-crf", str(container.crf if crf is None else crf), *container.options]
        for key, value in metadata.items():
            options += ["-metadata", f"{key}={value}"]
        shown = chain([first], remaining)
        try:
            written = _encode(temporary, shown, first.shape, fps, sound, options)
            found = probe_video(temporary).num_frames
        except InputError:
            refuse_full_disk(temporary)
            raise
        if found != written:
            refuse_full_disk(temporary)
            raise InputError(
                f"{path} must hold {written} frames, got {found} when it was read back.",
                hint="Type the same again; if it stays so, type: dancelcm doctor",
            )


def _encode(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    shape: tuple[int, ...],
    fps: Fraction | float,
    sound: Path | None,
    options: Sequence[str],
) -> int:
    """Pipe `frames` to ffmpeg; return their number."""
    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    margin = ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0))
    writer = imageio_ffmpeg.write_frames(
        str(path.absolute()),  # no name of ours can be mistaken for an option or a protocol
        (width, height),
        fps=float(fps),
        codec=container_of(path).codec,
        quality=None,  # `-crf` says it
        macro_block_size=1,
        ffmpeg_log_level="error",
        ffmpeg_timeout=FINISH_SECONDS,
        output_params=["-vf", BT709, *options],
        audio_path=None if sound is None else str(sound),
        audio_codec="copy",
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


def _info(path: Path, video: Decoder) -> VideoInfo:
    return VideoInfo(path, len(video), video.fps, video.height, video.width)


def _frames(
    path: Path, video: Decoder, indices: Sequence[int] | None
) -> Iterator[NDArray[np.uint8]]:
    wanted = range(len(video)) if indices is None else indices
    outside = [index for index in wanted if not 0 <= index < len(video)]
    if outside:
        raise InputError(
            f"A frame of {path} must be in 0..{len(video) - 1}, got {outside[0]}.",
            hint="Ask for fewer frames, or a smaller frame stride.",
        )
    return map(video.frame, wanted)
