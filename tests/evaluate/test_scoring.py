import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.frame_metrics import select_metrics
from dancelcm_cli.evaluate.protocol import DISCO_256
from dancelcm_cli.evaluate.results import make_row
from dancelcm_cli.evaluate.scoring import ScoreTally, VideoScores, score_video
from dancelcm_cli.evaluate.sources import FrameSource, list_sources

Frame = NDArray[np.uint8]
SMALL = replace(DISCO_256, height=16, width=16)


@pytest.fixture
def sources(tmp_path: Path, write_videos: Callable[..., Path]) -> dict[str, FrameSource]:
    return list_sources(write_videos(tmp_path))


def level(value: int) -> Frame:
    return np.full((16, 16, 3), value, np.uint8)


def test_truth_against_itself_is_perfect(sources: dict[str, FrameSource]) -> None:
    truth = sources["dance0"]
    scores = score_video(TestVideo("dance0", truth, truth.path), truth, SMALL).prediction
    assert scores.means == pytest.approx(
        {"l1": 0, "psnr": 100, "ssim": 1, "mae": 0, "ssim_gaussian": 1}
    )
    assert scores.num_frames == 5


def test_the_repeated_reference_is_perfect_on_the_reference_frame_only(
    sources: dict[str, FrameSource],
) -> None:
    truth = sources["dance0"]
    video = TestVideo("dance0", truth, truth.path)
    only_reference = replace(video, indices=range(1))
    assert score_video(only_reference, truth, SMALL).repeated_reference.means["psnr"] == 100
    assert score_video(video, truth, SMALL).repeated_reference.means["psnr"] < 100


def test_the_reference_frame_can_be_left_out(sources: dict[str, FrameSource]) -> None:
    truth = sources["dance0"]
    protocol = replace(SMALL, include_reference_frame=False)
    video = TestVideo("dance0", truth, truth.path)
    comparison = score_video(video, truth, protocol)
    assert comparison.prediction.num_frames == 4
    assert comparison.repeated_reference.means["psnr"] < 100
    with pytest.raises(InputError, match="beside its reference frame"):
        score_video(replace(video, indices=range(1)), truth, protocol)


def test_predictions_of_every_second_frame_meet_their_own_frames(
    tmp_path: Path, write_frames: Callable[..., Path], make_frames: Callable[..., list[Frame]]
) -> None:
    frames = make_frames(6)
    write_frames(tmp_path / "truth" / "a", frames)
    write_frames(tmp_path / "made" / "a", frames[::2])
    truth = list_sources(tmp_path / "truth")["a"]
    video = TestVideo("a", truth, truth.path, indices=range(0, 6, 2))
    scores = score_video(video, list_sources(tmp_path / "made")["a"], SMALL).prediction
    assert (scores.means["l1"], scores.num_frames) == (0, 3)


def test_the_worst_frame_is_named_by_its_index_in_the_truth() -> None:
    tally = ScoreTally(select_metrics(("psnr",)))
    for index, error in zip((0, 2, 4), (3, 9, 1), strict=True):
        tally.add(index, level(error), level(0))
    assert tally.scores("a").worst_frame == 2


def test_a_mean_over_videos_weighs_each_by_its_frames() -> None:
    long, short = (
        VideoScores(name, frames, {"mae": value}, 0)
        for name, frames, value in (("long", 30, 1.0), ("short", 10, 5.0))
    )
    assert make_row("made", [long, short]).estimates["mae"].value == 2.0


@dataclass(frozen=True)
class EndlessGrey:
    """A source of as many frames as are asked for, made one by one."""

    path: Path = Path("grey")
    num_frames: int = 10_000

    def frames(self, indices: range) -> Iterator[Frame]:
        return (level(index % 256) for index in indices)


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    def peak(num_frames: int) -> int:
        video = TestVideo("grey", EndlessGrey(), Path(), indices=range(num_frames))
        tracemalloc.reset_peak()
        score_video(video, EndlessGrey(), replace(SMALL, metrics=("mae",)))
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak(2)  # fills caches
        assert peak(1000) < peak(50) + 5_000
    finally:
        tracemalloc.stop()


def test_a_corrupt_frame_is_refused_by_name(sources: dict[str, FrameSource]) -> None:
    truth = sources["dance0"]
    damaged = truth.path / "0002.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(InputError, match=r"0002\.png"):
        score_video(TestVideo("dance0", truth, truth.path), truth, SMALL)
