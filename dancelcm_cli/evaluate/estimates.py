"""Values of a metric over all videos, each with the interval in which chance would move it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.evaluate.clip_features import Features
from dancelcm_cli.evaluate.frechet import frechet_distance
from dancelcm_cli.seeding import stream_seed

_RESAMPLES = 2000
_FVD_RESAMPLES = 200  # each is a distance of its own
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Estimate:
    """A metric's value, with its 95 % bootstrap interval over videos (None for one video)."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ClipFacts:
    """How far FVD can be trusted: how many clips it has, and how far it sees truth from truth.

    `split_half_floor` is the distance of every other true video to the rest, None for one video.
    """

    num_clips: int
    split_half_floor: float | None


def estimate_mean(num_frames: Sequence[int], means: Sequence[float]) -> Estimate:
    """Return the mean over all frames of videos with `num_frames` frames and these `means`."""
    counts = np.array(num_frames, dtype=np.float64)
    totals = counts * means
    value = float(totals.sum() / counts.sum())
    if len(counts) < 2:
        return Estimate(value, None, None)
    resampled = [
        totals[picks].sum() / counts[picks].sum()
        for picks in _resampled_videos(len(counts), _RESAMPLES)
    ]
    low, high = np.quantile(resampled, _QUANTILES)
    return Estimate(value, float(low), float(high))


def estimate_fvd(truth: Sequence[Features], shown: Sequence[Features]) -> Estimate:
    """Return the FVD of all clips, given the features (clips, 400) of each video in turn.

    A resample repeats videos, so that its distances are larger throughout, as those of a smaller
    sample are. The interval is therefore their spread about their own mean, laid about the value.
    """
    value = frechet_distance(np.concatenate(truth), np.concatenate(shown))
    if len(truth) < 2:
        return Estimate(value, None, None)
    resampled = [
        frechet_distance(
            np.concatenate([truth[video] for video in picks]),
            np.concatenate([shown[video] for video in picks]),
        )
        for picks in _resampled_videos(len(truth), _FVD_RESAMPLES)
    ]
    low, high = np.quantile(np.array(resampled) - np.mean(resampled), _QUANTILES)
    return Estimate(value, max(value + min(float(low), 0), 0), value + max(float(high), 0))


def split_half_floor(truth: Sequence[Features]) -> float | None:
    """Return the FVD of every other true video to the rest: about the least that can be measured.

    None for a single video, whose halves would share frames.
    """
    if len(truth) < 2:
        return None
    return frechet_distance(np.concatenate(truth[::2]), np.concatenate(truth[1::2]))


def _resampled_videos(num_videos: int, count: int) -> Iterator[NDArray[np.int64]]:
    """Yield indices of videos: the same for every metric and candidate, so that rows compare."""
    random = np.random.default_rng(stream_seed(0, "evaluate", "bootstrap"))
    return (random.integers(num_videos, size=num_videos) for _ in range(count))
