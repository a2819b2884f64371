"""Which prediction belongs to which test video, and whether they are of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.sources import FrameSource

_TABLE_LINES = 20


@dataclass(frozen=True)
class Pair:
    """A test video, narrowed to the frames that are scored, and its prediction."""

    video: TestVideo
    prediction: FrameSource


@dataclass(frozen=True)
class Pairing:
    """All pairs of a data set, and what was left out.

    `coverage` is the share of the frames to be predicted that are predicted, in (0, 1];
    `unused` are the names of predictions that belong to no test video.
    """

    pairs: tuple[Pair, ...]
    coverage: float
    unused: tuple[str, ...]


def pair_videos(
    videos: Sequence[TestVideo],
    predictions: Mapping[str, FrameSource],
    allow_missing: bool = False,
) -> Pairing:
    """Match predictions to test videos by name and their frames by index.

    With `allow_missing`, videos without a prediction are left out and the longer of two videos of
    different lengths is cut.

    Raises:
        InputError: Names or lengths differ (a table names them), or nothing matches at all.
    """
    unequal = [video for video in videos if _predicted_frames(video, predictions) != _frames(video)]
    if unequal and not allow_missing:
        raise InputError(
            f"Predictions must have the frames of the true videos, but {len(unequal)} of"
            f" {len(videos)} differ:\n{_table(unequal, predictions)}",
            hint="Make the missing frames, or score what is there with"
            " `--set evaluate.allow_missing=true`.",
        )
    pairs = tuple(
        Pair(_shortened(video, predictions[video.name].num_frames), predictions[video.name])
        for video in videos
        if _predicted_frames(video, predictions)
    )
    if not pairs:
        raise InputError(
            f"Predictions must be named like the true videos ({videos[0].name}, ...),"
            f" got {', '.join(list(predictions)[:3])}.",
            hint="Rename the predictions.",
        )
    expected = sum(map(_frames, videos))
    scored = sum(_frames(pair.video) for pair in pairs)
    unused = set(predictions) - {video.name for video in videos}
    return Pairing(pairs, scored / expected, tuple(sorted(unused)))


def _frames(video: TestVideo) -> int:
    return len(video.scored_indices)


def _predicted_frames(video: TestVideo, predictions: Mapping[str, FrameSource]) -> int:
    prediction = predictions.get(video.name)
    return 0 if prediction is None else prediction.num_frames


def _shortened(video: TestVideo, num_frames: int) -> TestVideo:
    return replace(video, indices=video.scored_indices[:num_frames])


def _table(videos: Sequence[TestVideo], predictions: Mapping[str, FrameSource]) -> str:
    width = max(len("video"), *(len(video.name) for video in videos))
    lines = [f"  {'video':<{width}}  true frames  predicted"]
    for video in videos[:_TABLE_LINES]:
        predicted = str(_predicted_frames(video, predictions) or "missing")
        lines.append(f"  {video.name:<{width}}  {_frames(video):>11}  {predicted:>9}")
    if len(videos) > _TABLE_LINES:
        lines.append(f"  ... and {len(videos) - _TABLE_LINES} more")
    return "\n".join(lines)
