from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.pairing import Shown, coverage, match_videos
from dancelcm_cli.evaluate.sources import FrameSource, list_sources

Lengths = Callable[..., dict[str, FrameSource]]


@pytest.fixture
def sources(tmp_path: Path, write_videos: Callable[..., Path]) -> Lengths:
    """Sources dance0, dance1, ... of the given lengths."""

    def make(*lengths: int) -> dict[str, FrameSource]:
        folder = tmp_path / "-".join(map(str, lengths))
        return list_sources(write_videos(folder, lengths, height=8, width=8))

    return make


def videos(sources: Mapping[str, FrameSource]) -> list[TestVideo]:
    return [TestVideo(name, source, source.path) for name, source in sources.items()]


def match(
    truth: Mapping[str, FrameSource], *shown: Mapping[str, FrameSource], allow_missing: bool = False
) -> tuple[Sequence[TestVideo], list[dict[str, FrameSource]]]:
    return match_videos([Shown(each, videos(truth)) for each in shown], allow_missing)


def lines(error: InputError) -> list[list[str]]:
    return [line.split() for line in error.message.splitlines()[2:]]


def test_equal_lengths_pair_by_name(sources: Lengths) -> None:
    truth = sources(4, 2)
    matched, _ = match(truth, sources(4, 2, 1))
    assert [(video.name, video.scored_indices) for video in matched] == [
        ("dance0", range(4)),
        ("dance1", range(2)),
    ]
    assert coverage(videos(truth), matched) == 1


def test_missing_frames_fail_with_a_table_that_names_them(sources: Lengths) -> None:
    shown = sources(9, 1)
    for index in (0, 2, 3):
        (shown["dance0"].path / f"{index:04d}.png").unlink()
    with pytest.raises(InputError) as caught:
        match(sources(9, 2, 3), list_sources(shown["dance0"].path.parent))
    assert "3 of 3 differ" in caught.value.message
    assert lines(caught.value) == [
        ["dance0", "9", "6", "0,", "2-3"],
        ["dance1", "2", "1", "1"],
        ["dance2", "3", "0", "all"],
    ]
    assert "--allow-missing" in caught.value.hint


def test_frames_too_many_fail_as_well(sources: Lengths) -> None:
    with pytest.raises(InputError) as caught:
        match(sources(2), sources(3))
    assert lines(caught.value) == [["dance0", "2", "3", "none,", "too", "many"]]


def test_allowed_gaps_are_counted(sources: Lengths) -> None:
    truth = sources(4, 2, 3)
    matched, _ = match(truth, sources(3, 9), allow_missing=True)
    assert [list(video.scored_indices) for video in matched] == [[0, 1, 2], [0, 1]]
    assert coverage(videos(truth), matched) == pytest.approx(5 / 9)


def test_a_missing_frame_moves_no_other_frame(sources: Lengths) -> None:
    truth, shown = sources(5), sources(5, 1)
    (shown["dance0"].path / "0001.png").unlink()
    (video,), (pictures,) = match(
        truth, list_sources(shown["dance0"].path.parent), allow_missing=True
    )
    assert list(video.scored_indices) == [0, 2, 3, 4]
    true_frames = video.truth.frames(video.scored_indices)
    for true_frame, frame in zip(true_frames, pictures["dance0"].frames(range(4)), strict=True):
        assert (true_frame == frame).all()


def test_frames_counted_from_another_number_are_the_same_frames(sources: Lengths) -> None:
    truth, shown = sources(3), sources(3, 1)
    folder = shown["dance0"].path
    for index in (2, 1, 0):
        (folder / f"{index:04d}.png").rename(folder / f"frame_{index + 1}.png")
    (video,), (pictures,) = match(truth, list_sources(folder.parent))
    assert video.scored_indices == range(3)
    assert [path.name for path in pictures["dance0"].pictures] == [
        "frame_1.png", "frame_2.png", "frame_3.png",
    ]  # fmt: skip


def test_several_candidates_are_compared_on_the_frames_that_all_of_them_have(
    sources: Lengths,
) -> None:
    first, second = sources(5, 1), sources(5, 2)
    (first["dance0"].path / "0001.png").unlink()
    (second["dance0"].path / "0003.png").unlink()
    shown = [list_sources(each["dance0"].path.parent) for each in (first, second)]
    (video,), pictures = match(sources(5), *shown, allow_missing=True)
    assert list(video.scored_indices) == [0, 2, 4]
    for sources_of in pictures:
        names = [path.name for path in sources_of["dance0"].source.pictures]
        places = sources_of["dance0"].places
        assert [names[place] for place in places] == ["0000.png", "0002.png", "0004.png"]


def test_what_was_made_in_order_is_not_paired_by_its_names(sources: Lengths) -> None:
    truth = sources(6)
    every_second = [replace(video, indices=range(0, 6, 2)) for video in videos(truth)]
    (video,), _ = match_videos([Shown(sources(3), every_second, in_order=True)])
    assert list(video.scored_indices) == [0, 2, 4]


def test_predictions_of_other_videos_are_refused_even_if_gaps_are_allowed(
    sources: Lengths,
) -> None:
    strangers = {f"x{name}": source for name, source in sources(4).items()}
    with pytest.raises(InputError, match=r"named like the true videos \(dance0"):
        match(sources(4), strangers, allow_missing=True)
