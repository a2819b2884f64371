import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.preprocess.windows import cut_windows, steady_rate, tail_of

counts = st.integers(1, 40)


@given(st.integers(0, 500), counts, counts)
def test_windows_fit_and_do_not_overlap(video_frames: int, num_frames: int, stride: int) -> None:
    windows = cut_windows(range(video_frames), num_frames, stride)
    indices = [index for window in windows for index in window.indices]
    assert len(indices) == num_frames * len(windows)
    assert indices == sorted(set(indices))
    assert all(index < video_frames for index in indices)


@given(st.integers(0, 500), counts, counts)
def test_no_further_window_would_fit(video_frames: int, num_frames: int, stride: int) -> None:
    windows = cut_windows(range(video_frames), num_frames, stride)
    next_start = len(windows) * num_frames * stride
    assert next_start + (num_frames - 1) * stride >= video_frames


@given(st.integers(0, 500), counts, counts)
def test_windows_and_tail_hold_every_nth_frame_of_the_video_together(
    video_frames: int, num_frames: int, stride: int
) -> None:
    windows = cut_windows(range(video_frames), num_frames, stride)
    tail = tail_of(range(video_frames), num_frames, stride)
    indices = [index for window in windows for index in window.indices]
    indices += tail.indices if tail else ()
    assert indices == list(range(0, video_frames, stride))
    assert tail is None or len(tail) < num_frames


def test_a_window_needs_no_frames_behind_its_last() -> None:
    assert [window.start for window in cut_windows(range(13), 4, 2)] == [0]
    assert [window.indices for window in cut_windows(range(15), 4, 2)] == [
        (0, 2, 4, 6),
        (8, 10, 12, 14),
    ]
    assert str(cut_windows(range(7), 4, 2)[0]) == "frames 0 to 6"


@given(st.integers(1, 60), st.sampled_from([12, 24, 30000 / 1001, 60]))
def test_a_steady_video_keeps_its_frames_whatever_the_clock_rounds_to(
    num_frames: int, fps: float
) -> None:
    times = np.round(np.arange(num_frames) / fps, 3)  # Matroska counts milliseconds
    assert steady_rate(times) == (None, list(range(num_frames)))


def test_a_pause_repeats_its_frame_and_a_burst_loses_some() -> None:
    rate, frames = steady_rate(np.array([0.0, 0.1, 0.2, 0.62, 0.7, 0.72, 0.74, 0.8, 0.9, 1.0]))
    assert rate == pytest.approx(10)
    assert frames == [0, 1, 2, 2, 2, 3, 3, 4, 7, 8, 9]


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=50))
def test_each_moment_shows_the_frame_nearest_in_time(gaps: list[float]) -> None:
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    rate, frames = steady_rate(times)
    if rate is not None:
        ticks = np.arange(len(frames)) / rate
        nearest = np.abs(times[None] - ticks[:, None]).min(axis=1)
        assert np.abs(times[frames] - ticks) == pytest.approx(nearest)
        assert abs(ticks[-1] - times[-1]) <= 0.5 / rate + 1e-9
