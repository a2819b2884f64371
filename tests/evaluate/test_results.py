import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.evaluate.results import make_row
from dancelcm_cli.evaluate.scoring import VideoScores

VALUES = st.lists(st.tuples(st.integers(1, 500), st.floats(0, 100)), min_size=2, max_size=12)


def scores(values: list[tuple[int, float]]) -> list[VideoScores]:
    return [
        VideoScores(str(index), frames, {"psnr": value}, 0)
        for index, (frames, value) in enumerate(values)
    ]


@given(values=VALUES)
def test_the_value_is_the_mean_over_frames_inside_its_interval(
    values: list[tuple[int, float]],
) -> None:
    estimate = make_row("made", scores(values)).estimates["psnr"]
    frames = np.repeat([value for _, value in values], [count for count, _ in values])
    assert estimate.value == pytest.approx(frames.mean())
    assert estimate.low is not None and estimate.high is not None
    assert min(frames) - 1e-9 <= estimate.low <= estimate.high <= max(frames) + 1e-9


def test_the_interval_shrinks_with_the_number_of_videos() -> None:
    random = np.random.default_rng(0)
    widths = []
    for count in (4, 40, 400):
        values = [(10, float(value)) for value in random.normal(20, 3, count)]
        estimate = make_row("made", scores(values)).estimates["psnr"]
        widths.append(estimate.high - estimate.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(2 * 1.96 * 3 / 20, rel=0.15)  # the normal law at 400


def test_one_video_has_no_interval() -> None:
    estimate = make_row("made", scores([(5, 20.0)])).estimates["psnr"]
    assert (estimate.value, estimate.low, estimate.high) == (20.0, None, None)


def test_rows_with_the_same_scores_have_the_same_interval() -> None:
    videos = scores([(5, 20.0), (3, 18.0), (9, 25.0)])
    assert make_row("a", videos).estimates == make_row("b", videos).estimates
