from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from dancelcm_cli.core.windows import PredictWindows, fuse_windows, plan_windows, window_weights
from dancelcm_cli.errors import ConfigError

SIZES = st.integers(1, 40)


def each(predict: Callable[[Tensor, range], Tensor]) -> PredictWindows:
    """Return what is asked for windows and looks at the frames of one after the other."""
    return lambda latents, windows: [
        predict(latents[:, :, window.start : window.stop], window) for window in windows
    ]


@given(st.integers(1, 300), SIZES, st.integers(0, 39), st.integers(0, 8))
def test_windows_cover_every_frame_and_have_one_size(
    num_frames: int, size: int, overlap: int, step: int
) -> None:
    assume(overlap < size)
    windows = plan_windows(num_frames, size, overlap, step)
    assert {frame for window in windows for frame in window} == set(range(num_frames))
    assert {len(window) for window in windows} == {min(size, num_frames)}
    for window, following in pairwise(windows):
        assert window.start < following.start <= window.stop - overlap


def test_a_long_clip_takes_hardly_more_windows_than_its_strides() -> None:
    for step in range(4):
        assert len(plan_windows(1000, 32, 8, step)) <= 1000 / 24 + 2


def test_seams_move_between_steps() -> None:
    even, odd = ({w.start for w in plan_windows(100, 16, 4, step)} for step in (0, 1))
    assert even & odd == {0, 84}  # the ends of the clip alone


def test_a_short_clip_is_one_window() -> None:
    assert plan_windows(9, 16, 4) == plan_windows(9, 16, 4, step=1) == [range(9)]


@pytest.mark.parametrize("overlap", [-1, 16, 20])
def test_an_overlap_without_a_stride_is_refused(overlap: int) -> None:
    with pytest.raises(ConfigError, match="from 0 to 15"):
        plan_windows(100, 16, overlap)


@given(SIZES)
def test_trust_is_a_symmetric_triangle(size: int) -> None:
    weights = window_weights(size)
    assert torch.equal(weights, weights.flip(0))
    assert weights.min() == 1 and weights.argmax() == (size - 1) // 2


@given(st.integers(1, 90), st.integers(2, 20), st.integers(0, 19), st.integers(0, 2))
def test_windows_that_agree_give_what_they_say(
    num_frames: int, size: int, overlap: int, step: int
) -> None:
    assume(overlap < size)
    latents = torch.randn(2, 3, num_frames, 2, 2)
    windows = plan_windows(num_frames, size, overlap, step)
    fused = fuse_windows(each(lambda part, window: 2 * part), latents, windows)
    torch.testing.assert_close(fused, 2 * latents)


def test_a_frame_trusts_the_window_that_it_is_in_the_middle_of() -> None:
    latents = torch.zeros(1, 1, 24, 1, 1)

    def start(part: Tensor, window: range) -> Tensor:
        return torch.full_like(part, float(window.start))

    fused = fuse_windows(each(start), latents, [range(16), range(8, 24)]).flatten()
    assert torch.equal(fused[:8], torch.zeros(8)) and torch.equal(fused[16:], torch.full((8,), 8.0))
    shared = fused[8:16]
    assert (shared.diff() > 0).all() and shared[0] < 1.0 and shared[-1] > 7.0


def test_each_window_sees_its_own_frames() -> None:
    latents = torch.arange(10.0).view(1, 1, 10, 1, 1)

    def check(part: Tensor, window: range) -> Tensor:
        assert part.flatten().tolist() == [float(frame) for frame in window]
        return part

    fuse_windows(each(check), latents, plan_windows(10, 4, 1))
