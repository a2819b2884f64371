import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.core.processes import ALONE
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.candidates import Candidate, repeat_reference, show_predictions
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.measurement import measure
from dancelcm_cli.evaluate.meters import PixelMeter
from dancelcm_cli.evaluate.metrics import select_metrics
from dancelcm_cli.evaluate.networks import Networks, open_lpips
from dancelcm_cli.evaluate.perceptual import PerceptualMeter
from dancelcm_cli.evaluate.protocol import DISCO_256, Protocol
from dancelcm_cli.evaluate.results import make_row
from dancelcm_cli.evaluate.scoring import ScoreTally, VideoScores, score_video
from dancelcm_cli.evaluate.sources import FrameSource, list_sources
from dancelcm_cli.progress import SilentProgress

Frame = NDArray[np.uint8]
SMALL = replace(DISCO_256, height=16, width=16)
METRICS: tuple[MetricName, ...] = ("l1", "psnr", "ssim", "mae", "ssim_gaussian")


@pytest.fixture
def sources(tmp_path: Path, write_videos: Callable[..., Path]) -> dict[str, FrameSource]:
    return list_sources(write_videos(tmp_path))


def level(value: int) -> Frame:
    return np.full((16, 16, 3), value, np.uint8)


def showing(prediction: FrameSource) -> Candidate:
    return show_predictions("made", "", {"dance0": prediction})


def scores_of(video: TestVideo, candidate: Candidate, protocol: Protocol = SMALL) -> VideoScores:
    (scores,) = score_video(video, [candidate], protocol, [PixelMeter(METRICS)])
    return scores


@pytest.fixture
def video(sources: dict[str, FrameSource]) -> TestVideo:
    truth = sources["dance0"]
    return TestVideo("dance0", truth, truth.path)


def test_truth_against_itself_is_perfect(video: TestVideo) -> None:
    scores = scores_of(video, showing(video.truth))
    assert scores.means == pytest.approx(
        {"l1": 0, "psnr": 100, "ssim": 1, "mae": 0, "ssim_gaussian": 1}
    )
    assert scores.num_frames == 5


def test_the_repeated_reference_is_perfect_on_the_reference_frame_only(video: TestVideo) -> None:
    repeated = repeat_reference()
    only_reference = replace(video, indices=range(1))
    assert scores_of(only_reference, repeated).means["psnr"] == 100
    assert scores_of(video, repeated).means["psnr"] < 100


def test_the_reference_frame_can_be_left_out(video: TestVideo) -> None:
    protocol = replace(SMALL, include_reference_frame=False)
    assert scores_of(video, showing(video.truth), protocol).num_frames == 4
    with pytest.raises(InputError, match="beside its reference frame"):
        scores_of(replace(video, indices=range(1)), showing(video.truth), protocol)


def test_several_candidates_score_together_as_they_do_alone(video: TestVideo) -> None:
    candidates = [repeat_reference(), showing(video.truth)]
    together = score_video(video, candidates, SMALL, [PixelMeter(METRICS)])
    assert together == [scores_of(video, candidate) for candidate in candidates]


def test_predictions_of_every_second_frame_meet_their_own_frames(
    tmp_path: Path, write_frames: Callable[..., Path], make_frames: Callable[..., list[Frame]]
) -> None:
    frames = make_frames(6)
    write_frames(tmp_path / "truth" / "a", frames)
    write_frames(tmp_path / "made" / "a", frames[::2])
    truth = list_sources(tmp_path / "truth")["a"]
    video = TestVideo("dance0", truth, truth.path, indices=range(0, 6, 2))
    scores = scores_of(video, showing(list_sources(tmp_path / "made")["a"]))
    assert (scores.means["l1"], scores.num_frames) == (0, 3)


def test_the_worst_frame_is_named_by_its_index_in_the_truth() -> None:
    tally = ScoreTally(select_metrics(("psnr",)))
    for index, error in zip((0, 2, 4), (3, 9, 1), strict=True):
        tally.add(index, {"psnr": -float(error)})
    assert tally.scores("a", 3).worst_frame == 2


def test_a_mean_over_videos_weighs_each_by_its_frames() -> None:
    long, short = (
        VideoScores(name, frames, {"mae": value}, 0)
        for name, frames, value in (("long", 30, 1.0), ("short", 10, 5.0))
    )
    assert make_row("made", "", [long, short]).estimates["mae"].value == 2.0


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
        candidates = [show_predictions("made", "", {"grey": EndlessGrey()})]
        score_video(video, candidates, SMALL, [PixelMeter(["mae"])])
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak(2)  # fills caches
        assert peak(1000) < peak(50) + 5_000
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_videos(tmp_path: Path) -> None:
    networks = Networks((PixelMeter(["mae"]),), None, {}, {})
    protocol = replace(SMALL, metrics=("mae",))

    def peak(num_videos: int) -> int:
        videos = [
            TestVideo(str(index), EndlessGrey(), Path(), indices=range(20))
            for index in range(num_videos)
        ]
        tracemalloc.reset_peak()
        log = tmp_path / "log"
        candidates = [repeat_reference()]
        measure(videos, candidates, protocol, networks, SilentProgress(), log, ALONE)
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak(2)  # fills caches
        few, many = peak(20), peak(220)
    finally:
        tracemalloc.stop()
    assert many - few < 200 * 5_000  # a few numbers a video, and no frames


def test_a_corrupt_frame_is_refused_by_name(video: TestVideo) -> None:
    damaged = video.truth.path / "0002.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(InputError, match=r"0002\.png"):
        scores_of(video, repeat_reference())


@pytest.mark.weights
def test_lpips_is_measured_beside_the_others(video: TestVideo) -> None:
    meter = PerceptualMeter(open_lpips(torch.device("cpu")), "unit")
    candidates = [repeat_reference(), showing(video.truth)]
    without = score_video(video, candidates, SMALL, [PixelMeter(METRICS)])
    meters = [PixelMeter((*METRICS, "lpips"), meter)]
    repeated, truth = score_video(video, candidates, SMALL, meters)
    assert truth.means == {**without[1].means, "lpips": pytest.approx(0, abs=1e-6)}
    assert repeated.means.pop("lpips") > 0.01
    assert repeated == without[0]


def test_fvd_alone_leaves_no_scores_of_frames(video: TestVideo) -> None:
    (scores,) = score_video(video, [showing(video.truth)], SMALL, [])
    assert scores == VideoScores("dance0", 5, {}, None)
