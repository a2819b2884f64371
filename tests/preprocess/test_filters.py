import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.preprocess.filters import (
    camera_cut,
    low_confidence,
    low_motion,
    no_person,
    several_people,
    too_short,
)


def grey(levels: list[float]) -> NDArray[np.uint8]:
    """Frames (F, 48, 32, 3) of one level each, in [0, 1]."""
    frames = np.empty((len(levels), 48, 32, 3), np.uint8)
    frames[:] = np.round(np.array(levels) * 255).reshape(-1, 1, 1, 1)
    return frames


def seen(scores: list[float]) -> NDArray[np.float32]:
    """Keypoints (F, 134, 3) with one score in a frame."""
    keypoints = np.zeros((len(scores), 134, 3), np.float32)
    keypoints[..., 2] = np.array(scores)[:, None]
    return keypoints


@pytest.mark.parametrize(("num_frames", "kept"), [(24, True), (23, False)])
def test_what_fills_a_window_is_long_enough(num_frames: int, kept: bool) -> None:
    assert (too_short(num_frames, 24, is_tail=False) is None) == kept
    assert (too_short(num_frames, 24, is_tail=True) is None) == kept


def test_a_tail_is_told_from_a_short_video() -> None:
    assert [getattr(too_short(3, 4, tail), "reason", None) for tail in (False, True)] == [
        "too_short",
        "tail",
    ]


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize(("height", "cut"), [(0.2, True), (0.05, False)])
def test_a_cut_is_a_jump_that_stands_out(place: int, height: float, cut: bool) -> None:
    found = camera_cut(grey([0.1] * place + [0.1 + height] * (4 - place)), 0.06)
    assert (found is not None) == cut
    if found:
        assert found.detail == f"before its frame {place}, a jump of 0.200"


def test_steady_change_is_no_cut_however_quick() -> None:
    assert camera_cut(grey([0.0, 0.2, 0.4, 0.6, 0.8]), 0.06) is None


@pytest.mark.parametrize("num_frames", [1, 2])
def test_the_shortest_windows_have_a_verdict(num_frames: int) -> None:
    frames = grey([0.0, 1.0][:num_frames])
    assert (camera_cut(frames, 0.06) is None) == (num_frames == 1)
    assert (low_motion(frames, 0.2, 0.02) is None) == (num_frames == 2)


def test_a_threshold_of_one_switches_cuts_off() -> None:
    assert camera_cut(grey([0.0, 1.0, 1.0]), 1.0) is None


@pytest.mark.parametrize(("least", "kept"), [(0.125, True), (0.13, False)])
def test_motion_is_the_share_of_the_picture_that_changes(least: float, kept: bool) -> None:
    frames = np.zeros((5, 128, 64, 3), np.uint8)
    frames[3, :16, :, 1] = 255  # an eighth of the picture, in one channel of one frame
    assert (low_motion(frames, 0.2, least) is None) == kept


def test_slow_motion_is_motion_though_neighbouring_frames_hardly_differ() -> None:
    assert low_motion(grey(np.linspace(0, 0.2, 24).tolist()), 0.2, 1.0) is None


def test_noise_of_the_sensor_is_no_motion() -> None:
    frames = np.random.default_rng(0).normal(128, 12, (24, 256, 256, 3)).clip(0, 255)
    assert low_motion(frames.astype(np.uint8), 0.2, 0.02) is not None


@pytest.mark.parametrize(("scores", "kept"), [([1, 1, 0, 0], True), ([1, 0, 0, 0], False)])
def test_somebody_must_be_there_in_half_of_the_frames(scores: list[float], kept: bool) -> None:
    found = no_person(seen(scores), 0.5)
    assert (found is None) == kept
    assert found is None or found.detail == "somebody in 1 of 4 frames"


def test_one_seen_point_is_somebody() -> None:
    keypoints = seen([0.3])  # as much as counts as unseen
    assert no_person(keypoints, 0.5) is not None
    keypoints[0, 17, 2] = 0.31
    assert no_person(keypoints, 0.5) is None


@pytest.mark.parametrize(("score", "kept"), [(0.5, True), (0.49, False)])
def test_confidence_is_the_mean_score_of_the_body(score: float, kept: bool) -> None:
    keypoints = seen([score - 0.2, score + 0.2])
    keypoints[:, 18:, 2] = 1 - kept  # face and hands do not count
    assert (low_confidence(keypoints, 0.5 - 1e-6) is None) == kept


@pytest.mark.parametrize(
    ("counts", "most", "kept"),
    [((1, 1, 2), 1, True), ((2, 1, 2), 1, False), ((2, 3, 2), 2, True), ((9, 9, 9), 0, True)],
)
def test_the_median_count_of_people_decides(counts: tuple[int, ...], most: int, kept: bool) -> None:
    assert (several_people(counts, most) is None) == kept
