import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.evaluate.clip_features import Features
from dancelcm_cli.evaluate.estimates import estimate_fvd, estimate_mean, split_half_floor
from dancelcm_cli.evaluate.frechet import frechet_distance

VALUES = st.lists(st.tuples(st.integers(1, 500), st.floats(0, 100)), min_size=2, max_size=12)


def features(num_videos: int, clips: int = 20, shift: float = 0.0, seed: int = 0) -> list[Features]:
    """Clips of videos that differ from each other as well as within."""
    random = np.random.default_rng(seed)
    means = random.normal(size=(num_videos, 1, 5))
    inside = random.normal(size=(num_videos, clips, 5))
    return list((means + inside + shift).astype(np.float32))


@given(values=VALUES)
def test_a_mean_is_that_over_frames_inside_its_interval(values: list[tuple[int, float]]) -> None:
    counts, means = zip(*values, strict=True)
    estimate = estimate_mean(counts, means)
    frames = np.repeat(means, counts)
    assert estimate.value == pytest.approx(frames.mean())
    assert estimate.low is not None and estimate.high is not None
    assert min(frames) - 1e-9 <= estimate.low <= estimate.high <= max(frames) + 1e-9


def test_the_interval_shrinks_with_the_number_of_videos() -> None:
    random = np.random.default_rng(0)
    widths = []
    for count in (4, 40, 400):
        estimate = estimate_mean([10] * count, random.normal(20, 3, count).tolist())
        widths.append(estimate.high - estimate.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(2 * 1.96 * 3 / 20, rel=0.15)  # the normal law at 400


def test_one_video_has_no_interval_and_no_floor() -> None:
    mean = estimate_mean([5], [20.0])
    assert (mean.value, mean.low, mean.high) == (20.0, None, None)
    fvd = estimate_fvd(features(1), features(1, shift=1))
    assert (fvd.low, fvd.high) == (None, None)
    assert split_half_floor(features(1)) is None


def test_the_same_videos_are_resampled_for_every_row() -> None:
    counts, means = [5, 3, 9], [20.0, 18.0, 25.0]
    assert estimate_mean(counts, means) == estimate_mean(counts, means)


def test_fvd_is_the_distance_of_all_clips_inside_its_interval() -> None:
    truth, shown = features(6), features(6, shift=0.5, seed=1)
    estimate = estimate_fvd(truth, shown)
    assert estimate.value == frechet_distance(np.concatenate(truth), np.concatenate(shown))
    assert estimate.low is not None and estimate.high is not None
    assert 0 <= estimate.low < estimate.value < estimate.high


def test_the_interval_of_fvd_shrinks_with_the_number_of_videos() -> None:
    estimates = [
        estimate_fvd(features(count), features(count, shift=2, seed=1)) for count in (4, 16, 64)
    ]
    widths = [estimate.high - estimate.low for estimate in estimates]
    assert widths == sorted(widths, reverse=True)


def test_fvd_of_the_truth_is_nothing_but_its_halves_are_apart() -> None:
    truth = features(6)
    assert estimate_fvd(truth, truth).value == pytest.approx(0, abs=1e-6)
    halves = np.concatenate(truth[::2]), np.concatenate(truth[1::2])
    assert split_half_floor(truth) == frechet_distance(*halves) > 0.1
