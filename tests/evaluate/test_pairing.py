from collections.abc import Callable
from pathlib import Path

import pytest

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.pairing import coverage, match_videos
from dancelcm_cli.evaluate.sources import FrameSource, list_sources

Lengths = Callable[..., dict[str, FrameSource]]


@pytest.fixture
def sources(tmp_path: Path, write_videos: Callable[..., Path]) -> Lengths:
    """Sources dance0, dance1, ... of the given lengths."""

    def make(*lengths: int) -> dict[str, FrameSource]:
        folder = tmp_path / "-".join(map(str, lengths))
        return list_sources(write_videos(folder, lengths, height=8, width=8))

    return make


def videos(sources: dict[str, FrameSource]) -> list[TestVideo]:
    return [TestVideo(name, source, source.path) for name, source in sources.items()]


def test_equal_lengths_pair_by_name(sources: Lengths) -> None:
    asked = videos(sources(4, 2))
    matched = match_videos(asked, sources(4, 2, 1))
    assert [(video.name, video.scored_indices) for video in matched] == [
        ("dance0", range(4)),
        ("dance1", range(2)),
    ]
    assert coverage(asked, matched) == 1


def test_unequal_lengths_fail_with_a_table_that_names_the_videos(sources: Lengths) -> None:
    with pytest.raises(InputError) as caught:
        match_videos(videos(sources(4, 2, 3)), sources(4, 1))
    assert "2 of 3 differ" in caught.value.message
    rows = [line.split() for line in caught.value.message.splitlines()[2:]]
    assert rows == [["dance1", "2", "1"], ["dance2", "3", "missing"]]
    assert "evaluate.allow_missing=true" in caught.value.hint


def test_allowed_gaps_are_counted(sources: Lengths) -> None:
    asked = videos(sources(4, 2, 3))
    matched = match_videos(asked, sources(3, 9), allow_missing=True)
    assert [video.scored_indices for video in matched] == [range(3), range(2)]
    assert coverage(asked, matched) == pytest.approx(5 / 9)


def test_predictions_of_other_videos_are_refused_even_if_gaps_are_allowed(
    sources: Lengths,
) -> None:
    strangers = {f"x{name}": source for name, source in sources(4).items()}
    with pytest.raises(InputError, match=r"named like the true videos \(dance0"):
        match_videos(videos(sources(4)), strangers, allow_missing=True)
