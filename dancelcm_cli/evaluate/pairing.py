"""Which prediction belongs to which test video, and whether they are of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.sources import FrameSource

_TABLE_LINES = 20


def match_videos(
    videos: Sequence[TestVideo],
    predictions: Mapping[str, FrameSource],
    allow_missing: bool = False,
) -> tuple[TestVideo, ...]:
    """Return `videos`, narrowed to the frames that `predictions` hold, by name and by index.

    With `allow_missing`, videos without a prediction are left out and the longer of two videos of
    different lengths is cut; without it, nothing may be left out.

    Raises:
        InputError: Names or lengths differ (a table names them), or nothing matches at all.
    """
    unequal = [video for video in videos if _predicted(video, predictions) != _asked(video)]
    if unequal and not allow_missing:
        raise InputError(
            f"Predictions must have the frames of the true videos, but {len(unequal)} of"
            f" {len(videos)} differ:\n{_table(unequal, predictions)}",
            hint="Make the missing frames, or score what is there with"
            " `--set evaluate.allow_missing=true`.",
        )
    matched = tuple(
        replace(video, indices=video.scored_indices[: _predicted(video, predictions)])
        for video in videos
        if _predicted(video, predictions)
    )
    if not matched:
        raise InputError(
            f"Predictions must be named like the true videos ({videos[0].name}, ...),"
            f" got {', '.join(list(predictions)[:3])}.",
            hint="Rename the predictions.",
        )
    return matched


def coverage(videos: Sequence[TestVideo], matched: Sequence[TestVideo]) -> float:
    """Return the share of the frames of `videos` that are in `matched`, in (0, 1]."""
    return sum(map(_asked, matched)) / sum(map(_asked, videos))


def _asked(video: TestVideo) -> int:
    return len(video.scored_indices)


def _predicted(video: TestVideo, predictions: Mapping[str, FrameSource]) -> int:
    prediction = predictions.get(video.name)
    return 0 if prediction is None else prediction.num_frames


def _table(videos: Sequence[TestVideo], predictions: Mapping[str, FrameSource]) -> str:
    width = max(len("video"), *(len(video.name) for video in videos))
    lines = [f"  {'video':<{width}}  true frames  predicted"]
    for video in videos[:_TABLE_LINES]:
        predicted = str(_predicted(video, predictions) or "missing")
        lines.append(f"  {video.name:<{width}}  {_asked(video):>11}  {predicted:>9}")
    if len(videos) > _TABLE_LINES:
        lines.append(f"  ... and {len(videos) - _TABLE_LINES} more")
    return "\n".join(lines)
