"""Which frame of a prediction belongs to which frame of a test video, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.sources import FrameSource, PickedFrames

_TABLE_LINES = 20
_RUNS_SHOWN = 4  # stretches of missing frames in a line of the table

Places = dict[int, int]  # index in the true video: place in the prediction


@dataclass(frozen=True)
class Shown:
    """What a candidate has to show: its videos by name, made for `asked`.

    `in_order` says that its frames are those asked for, one after the other, whatever their names.
    """

    sources: Mapping[str, FrameSource]
    asked: Sequence[TestVideo]
    in_order: bool = False


@dataclass(frozen=True)
class _Gap:
    """A video whose frames a candidate does not show as it should."""

    name: str
    asked: int
    predicted: int
    missing: tuple[int, ...]


def match_videos(
    shown: Sequence[Shown], allow_missing: bool = False
) -> tuple[tuple[TestVideo, ...], list[dict[str, FrameSource]]]:
    """Return the videos with the frames that all of `shown` hold, and these frames of each.

    Frames belong together by the numbers in their names where both sides count the same way, and
    else by their order. With `allow_missing`, what is not there is left out; without it, nothing
    may be.

    Raises:
        InputError: Frames are missing (a table names them), or nothing matches at all.
    """
    places = [[_places(video, each) for video in each.asked] for each in shown]
    gaps = [
        gap for each, of_each in zip(shown, places, strict=True) for gap in _gaps(each, of_each)
    ]
    if gaps and not allow_missing:
        raise InputError(
            f"Predictions must have the frames of the true videos, but {len(gaps)} of"
            f" {sum(len(each.asked) for each in shown)} differ:\n{_table(gaps)}",
            hint="Make the missing frames, or score what is there with `--allow-missing`.",
        )
    matched: list[TestVideo] = []
    picked: list[dict[str, FrameSource]] = [{} for _ in shown]
    for video, *of_video in zip(_common(shown), *places, strict=True):
        indices = [i for i in video.scored_indices if all(i in found for found in of_video)]
        if not indices:
            continue
        whole = len(indices) == len(video.scored_indices)
        matched.append(video if whole else replace(video, indices=tuple(indices)))
        for each, found, sources in zip(shown, of_video, picked, strict=True):
            sources[video.name] = _pick(each.sources[video.name], [found[i] for i in indices])
    if not matched:
        raise InputError(
            f"Predictions must be named like the true videos ({shown[0].asked[0].name}, ...),"
            f" got {', '.join(list(shown[0].sources)[:3])}.",
            hint="Rename the predictions.",
        )
    return tuple(matched), picked


def coverage(videos: Sequence[TestVideo], matched: Sequence[TestVideo]) -> float:
    """Return the share of the frames of `videos` that are in `matched`, in (0, 1]."""
    return count_frames(matched) / count_frames(videos)


def count_frames(videos: Sequence[TestVideo]) -> int:
    """Return how many frames of `videos` are to be scored."""
    return sum(map(_asked, videos))


def _common(shown: Sequence[Shown]) -> Iterator[TestVideo]:
    """Yield the videos with the frames that all of `shown` were asked for."""
    for videos in zip(*(each.asked for each in shown), strict=True):
        first, *others = videos
        common = set(first.scored_indices).intersection(*(v.scored_indices for v in others))
        if len(common) == len(first.scored_indices):
            yield first
        else:
            yield replace(first, indices=tuple(sorted(common)))


def _asked(video: TestVideo) -> int:
    return len(video.scored_indices)


def _places(video: TestVideo, shown: Shown) -> Places:
    """Return where the frames of `video` are in what is shown of it."""
    prediction = shown.sources.get(video.name)
    if prediction is None:
        return {}
    asked = video.scored_indices
    true_numbers, numbers = video.truth.numbers, prediction.numbers
    if true_numbers and numbers and not shown.in_order:
        for base in (0, true_numbers[0] - numbers[0]):  # counted alike, or from another first one
            index_of = {number - base: index for index, number in enumerate(true_numbers)}
            if index_of.keys() >= set(numbers):
                places = {index_of[number]: place for place, number in enumerate(numbers)}
                return {index: places[index] for index in asked if index in places}
    return dict(zip(asked, range(prediction.num_frames), strict=False))


def _pick(source: FrameSource, places: Sequence[int]) -> FrameSource:
    if list(places) == list(range(len(places))):
        return source
    return PickedFrames(source, tuple(places))


def _gaps(shown: Shown, places: Sequence[Places]) -> Iterator[_Gap]:
    for video, found in zip(shown.asked, places, strict=True):
        prediction = shown.sources.get(video.name)
        predicted = 0 if prediction is None else prediction.num_frames
        missing = tuple(index for index in video.scored_indices if index not in found)
        if missing or predicted != _asked(video):
            yield _Gap(video.name, _asked(video), predicted, missing)


def _table(gaps: Sequence[_Gap]) -> str:
    width = max(len("video"), *(len(gap.name) for gap in gaps))
    lines = [f"  {'video':<{width}}  true frames  predicted  missing, by index from 0"]
    for gap in gaps[:_TABLE_LINES]:
        missing = _runs(gap.missing) if gap.predicted else "all"
        lines.append(f"  {gap.name:<{width}}  {gap.asked:>11}  {gap.predicted:>9}  {missing}")
    if len(gaps) > _TABLE_LINES:
        lines.append(f"  ... and {len(gaps) - _TABLE_LINES} more")
    return "\n".join(lines)


def _runs(indices: Sequence[int]) -> str:
    """Return `indices` as stretches, such as "3, 7-9"."""
    if not indices:
        return "none, too many"
    breaks = [place + 1 for place, (a, b) in enumerate(pairwise(indices)) if b != a + 1]
    edges = [0, *breaks, len(indices)]
    runs = [indices[start:end] for start, end in pairwise(edges)]
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:_RUNS_SHOWN]]
    return ", ".join([*shown, *(["..."] if len(runs) > _RUNS_SHOWN else [])])
