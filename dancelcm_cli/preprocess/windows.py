"""Which windows of frames a video is cut into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Frames of one clip."""

    start: int  # number of the first one among the video's frames at a steady rate
    indices: tuple[int, ...]  # in the video

    def __len__(self) -> int:
        return len(self.indices)

    def __str__(self) -> str:
        return f"frames {self.indices[0]} to {self.indices[-1]}"


@dataclass(frozen=True)
class Plan:
    """How a video is cut."""

    fps: float  # frames per second of the clips
    windows: tuple[Window, ...]
    tail: Window | None  # what is left at the end; all of it if not even one window fits


def frames_of(windows: Iterable[Window]) -> list[int]:
    """Return the numbers of all the windows' frames in the video, one window after the other."""
    return [index for window in windows for index in window.indices]


def plan_windows(
    times: NDArray[np.float64], fps: float | Fraction, num_frames: int, stride: int
) -> Plan:
    """Cut a video whose frames are shown at `times` (F,), on average `fps` a second."""
    rate, frames = steady_rate(times)
    windows = tuple(cut_windows(frames, num_frames, stride))
    return Plan(float((rate or fps) / stride), windows, tail_of(frames, num_frames, stride))


def steady_rate(times: NDArray[np.float64]) -> tuple[float | None, list[int]]:
    """Return a steady frame rate for a video, and which of its frames to show at that rate.

    Args:
        times: (F,) when each frame is shown, ascending, in seconds.

    Returns:
        None and all frames if they come steadily, with at most half a frame of jitter. Otherwise
        the rate of the median gap and, for each tick of it, the frame nearest in time: some frames
        appear twice or never, and motion keeps its speed.
    """
    gaps = np.diff(times)
    if not len(gaps):
        return None, list(range(len(times)))
    usual = float(np.median(gaps))
    if (np.abs(gaps - usual) <= usual / 2).all():
        return None, list(range(len(times)))
    ticks = np.arange(int((times[-1] - times[0]) / usual + 0.5) + 1) * usual + times[0]
    halfway = (times[1:] + times[:-1]) / 2
    return 1 / usual, np.searchsorted(halfway, ticks, side="left").tolist()


def cut_windows(frames: Sequence[int], num_frames: int, stride: int) -> list[Window]:
    """Return as many windows as fit into the `frames` of a video without overlap.

    A window takes every `stride`-th frame; what is left at the end is too short for one.
    """
    last_start = len(frames) - (num_frames - 1) * stride - 1
    starts = range(0, last_start + 1, num_frames * stride)
    reach = (num_frames - 1) * stride + 1
    return [Window(start, tuple(frames[start : start + reach : stride])) for start in starts]


def tail_of(frames: Sequence[int], num_frames: int, stride: int) -> Window | None:
    """Return what `cut_windows` leaves at the end, or None if that is nothing."""
    whole = len(cut_windows(frames, num_frames, stride)) * num_frames * stride
    rest = tuple(frames[whole::stride])
    return Window(whole, rest) if rest else None
