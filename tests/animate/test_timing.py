from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dancelcm_cli.animate.timing import Selection, select_frames
from dancelcm_cli.config.schema import AnimateConfig
from dancelcm_cli.errors import ConfigError, InputError

RATES = st.sampled_from([Fraction(12), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001)])
ALL = AnimateConfig(num_frames=0)


def times(num_frames: int, fps: Fraction) -> NDArray[np.float64]:
    """Frames at a constant rate, as a video file tells them: in single precision."""
    return (np.arange(num_frames) / float(fps)).astype(np.float32).astype(np.float64)


def select(num_frames: int, fps: Fraction, config: AnimateConfig) -> Selection:
    return select_frames(times(num_frames, fps), fps, config, "dance.mp4")


@given(num_frames=st.integers(2, 20_000), fps=RATES)
def test_by_default_every_frame_is_shown_at_the_clips_rate(num_frames: int, fps: Fraction) -> None:
    selection = select(num_frames, fps, replace(ALL, max_frames=20_000))
    assert selection == Selection(tuple(range(num_frames)), fps)
    assert selection.seconds == pytest.approx(num_frames / fps)


@given(num_frames=st.integers(2, 3000), fps=RATES, stride=st.integers(1, 50))
def test_a_stride_takes_every_nth_frame_and_keeps_the_speed(
    num_frames: int, fps: Fraction, stride: int
) -> None:
    selection = select(num_frames, fps, replace(ALL, frame_stride=stride))
    assert selection.indices == tuple(range(0, num_frames, stride))
    assert selection.fps == fps / stride


@given(num_frames=st.integers(2, 3000), fps=RATES, wanted=st.floats(1, 24))
def test_a_rate_keeps_the_speed_and_the_length(
    num_frames: int, fps: Fraction, wanted: float
) -> None:
    wanted = min(wanted, float(fps))
    selection = select(num_frames, fps, replace(ALL, fps=wanted))
    shown = np.arange(len(selection.indices)) / float(selection.fps)
    meant = np.array(selection.indices) / float(fps)
    due = np.minimum(shown, (num_frames - 1) / float(fps))  # the last frame is held
    assert np.abs(due - meant).max() <= 0.51 / float(fps)
    assert selection.seconds == pytest.approx(num_frames / fps, abs=1 / wanted)
    assert max(selection.indices) < num_frames


def test_half_the_rate_is_every_second_frame() -> None:
    assert select(9, Fraction(24), replace(ALL, fps=12.0)).indices == (0, 2, 4, 6, 8)


def test_a_rate_in_fewer_digits_is_the_same_rate() -> None:
    assert len(select(900, Fraction(30000, 1001), replace(ALL, fps=30.0)).indices) in (900, 901)


def test_frames_that_were_dropped_are_held() -> None:
    uneven = np.array([0, 1, 2, 6, 7]) / 10
    selection = select_frames(uneven, Fraction(10), ALL, "dance.mp4")
    assert selection.indices == (0, 1, 2, 2, 3, 3, 3, 4)


def test_the_number_of_frames_can_be_limited() -> None:
    assert select(24, Fraction(12), replace(ALL, num_frames=5)).indices == (0, 1, 2, 3, 4)
    assert len(select(24, Fraction(12), replace(ALL, num_frames=500)).indices) == 24


def test_ten_hours_are_refused_unless_somebody_asked_for_them() -> None:
    length, fps = 36_000 * 30, Fraction(30)
    with pytest.raises(InputError, match=r"dance\.mp4 must make at most 10,000 frames") as caught:
        select(length, fps, ALL)
    assert "--frames" in caught.value.hint and "--max-frames 1080000" in caught.value.hint
    assert len(select(length, fps, replace(ALL, max_frames=length)).indices) == length
    assert len(select(length, fps, replace(ALL, num_frames=300)).indices) == 300


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(ConfigError, match="--fps must be at most 12, the rate of") as caught:
        select(24, Fraction(12), replace(ALL, fps=24.0))
    assert caught.value.hint
    with pytest.raises(ConfigError, match="--stride must be 1"):
        select(24, Fraction(12), replace(ALL, fps=6.0, frame_stride=2))
