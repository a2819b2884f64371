"""Which frames of a driving clip are shown, and how fast, so that the dance keeps its speed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import AnimateConfig
from dancelcm_cli.errors import ConfigError, InputError

ROUNDING = 1.01  # a rate this much above the clip's own is the same rate, told in fewer digits
TIE = 1e-3  # of a driving frame's time: a moment half way between two belongs to the later


@dataclass(frozen=True)
class Selection:
    """The index in the driving clip of every frame that is shown, and frames per second."""

    indices: tuple[int, ...]
    fps: Fraction

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return float(len(self.indices) / self.fps)


def select_frames(
    times: NDArray[np.float64], clip_fps: Fraction, config: AnimateConfig, name: str
) -> Selection:
    """Choose frames of a clip by when they are shown.

    Args:
        times: When each frame of the clip is shown (F,), in seconds after the first.
        clip_fps: The clip's rate, the mean where it varies.
        config: Stride or rate of the result, and the greatest number of frames.
        name: What the clip is called in messages.

    Raises:
        ConfigError: stride and rate exclude each other, or the rate is above the clip's.
        InputError: a clip whose length nobody has limited is too long.
    """
    fps = _result_fps(clip_fps, config, name)
    end = times[-1] + 1 / float(clip_fps)
    # A tenth of a frame's time is less than any frame and more than any rounding error.
    num_frames = max(1, math.ceil((end - 0.1 / float(clip_fps)) * float(fps)))
    if config.num_frames:
        num_frames = min(num_frames, config.num_frames)
    elif num_frames > config.max_frames:
        raise InputError(
            f"{name} must make at most {config.max_frames:,} frames, got {num_frames:,}.",
            hint=f"Type --frames 300 for its beginning, or --max-frames {num_frames} for all.",
        )
    moments = np.arange(num_frames) / float(fps) + TIE / float(clip_fps)
    indices = np.searchsorted((times[:-1] + times[1:]) / 2, moments)
    return Selection(tuple(indices.tolist()), fps)


def _result_fps(clip_fps: Fraction, config: AnimateConfig, name: str) -> Fraction:
    if not config.fps:
        return clip_fps / config.frame_stride
    if config.frame_stride != 1:
        raise ConfigError(
            f"--stride must be 1 where --fps chooses the frames, got {config.frame_stride}.",
            hint="Leave out one of the two.",
        )
    if config.fps > clip_fps * ROUNDING:
        raise ConfigError(
            f"--fps must be at most {float(clip_fps):.4g}, the rate of {name}, got {config.fps:g}.",
            hint="Leave it out to keep the driving clip's rate.",
        )
    return Fraction(config.fps).limit_denominator(1001)
