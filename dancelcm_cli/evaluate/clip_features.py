"""From the frames of a video to the logits of its clips, which FVD compares."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.config.schema import FvdResize
from dancelcm_cli.data.video import iter_frames, write_video
from dancelcm_cli.evaluate.batching import in_batches
from dancelcm_cli.evaluate.i3d import CLIP_LENGTH, I3D, NUM_CLASSES, SIDE
from dancelcm_cli.evaluate.precision import exact_float32
from dancelcm_cli.evaluate.protocol import Frame, Protocol, stack_frames

Item = TypeVar("Item")
Features = NDArray[np.float32]  # (clips, 400)
Pixels = NDArray[np.float32]  # (H, W, 3) in 0 to 255

# DisCo's script writes each clip with imageio: 3 frames/s, and quality 5, which is this of x264.
_DISCO_FPS = 3
_DISCO_CRF = 25


def num_clips(num_frames: int, protocol: Protocol) -> int:
    """Return how many clips a video of `num_frames` has."""
    return max(0, (num_frames - CLIP_LENGTH) // protocol.fvd_stride + 1)


@torch.inference_mode()
def clip_features(
    network: I3D, frames: Iterable[Frame], protocol: Protocol, batch_size: int = 4
) -> Features:
    """Return the logits (N, 400) of the clips of a video, given as uint8 RGB frames (H, W, 3).

    Raises:
        InputError: A frame is no 8-bit RGB frame, or of another size than the others.
    """
    device = next(network.parameters()).device
    logits = [np.empty((0, NUM_CLASSES), np.float32)]
    for clips in in_batches(_clips(frames, protocol), batch_size):
        # Channels stay last in memory: so the network runs fastest.
        pixels = torch.from_numpy(np.stack(clips)).to(device).movedim(-1, 1)
        with exact_float32():
            logits.append(network(pixels / 127.5 - 1.0).cpu().numpy())
    return np.concatenate(logits)


def _clips(frames: Iterable[Frame], protocol: Protocol) -> Iterator[Pixels]:
    """Yield clips (16, 224, 224, 3) in 0 to 255."""
    resize = _RESIZES[protocol.fvd_resize]
    if protocol.fvd_codec == "none":  # a frame is in up to 16 clips, but resized once
        resized = (resize(frame) for frame in _checked(frames))
        yield from map(np.stack, _windows(resized, protocol.fvd_stride))
        return
    for clip in _windows(_checked(frames), protocol.fvd_stride):
        yield np.stack([resize(frame) for frame in _compressed(clip)])


def _windows(frames: Iterable[Item], stride: int) -> Iterator[list[Item]]:
    """Yield 16 consecutive frames from each `stride`-th on."""
    window: deque[Item] = deque(maxlen=CLIP_LENGTH)
    for index, frame in enumerate(frames):
        window.append(frame)
        if len(window) == CLIP_LENGTH and (index + 1 - CLIP_LENGTH) % stride == 0:
            yield list(window)


def _checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    first = None
    for frame in frames:
        first = frame if first is None else first
        yield stack_frames([first, frame])[1]


def _compressed(clip: Sequence[Frame]) -> list[Frame]:
    """Return `clip` as H.264 leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, clip, _DISCO_FPS, crf=_DISCO_CRF)
        return list(iter_frames(path))


def _resize_bicubic(frame: Frame) -> Pixels:
    """Resize with Pillow's antialiased kernel, in floating point and without rounding."""
    channels = (
        Image.fromarray(channel) for channel in np.moveaxis(frame, -1, 0).astype(np.float32)
    )
    size, kernel = (SIDE, SIDE), Image.Resampling.BICUBIC
    return np.stack([np.asarray(channel.resize(size, kernel)) for channel in channels], axis=-1)


def _resize_bilinear(frame: Frame) -> Pixels:
    pixels = torch.from_numpy(frame).movedim(-1, 0)[None].float()
    resized = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return resized[0].movedim(0, -1).numpy()


_RESIZES: dict[FvdResize, Callable[[Frame], Pixels]] = {
    "pil-bicubic": _resize_bicubic,
    "bilinear": _resize_bilinear,
}
