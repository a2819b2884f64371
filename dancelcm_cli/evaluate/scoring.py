"""Scores of one video: streams of frames in, a row of means a candidate out, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.batching import in_batches
from dancelcm_cli.evaluate.candidates import Candidate, true_frames
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.frame_metrics import FRAME_MEASURES
from dancelcm_cli.evaluate.metrics import Metric, select_metrics
from dancelcm_cli.evaluate.perceptual import PerceptualMeter
from dancelcm_cli.evaluate.protocol import Frame, Protocol

_FRAMES_AT_ONCE = 8  # LPIPS looks at a still once for all of them


@dataclass(frozen=True)
class VideoScores:
    """The mean of each metric of single frames over the scored frames of a video.

    `worst_frame` is the index, in the true video, of the frame with the worst value of the first
    of these metrics; None where there are none.
    """

    name: str
    num_frames: int
    means: dict[str, float]
    worst_frame: int | None


class ScoreTally:
    """Adds up the scores of a video's frames in `metrics`; only sums are kept, no frames."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics
        self._totals: dict[str, float] = {metric.name: 0.0 for metric in metrics}
        self._num_frames = 0
        self._worst: tuple[float, int] | None = None  # badness in the first metric, frame index

    def add(self, index: int, values: Mapping[MetricName, float]) -> None:
        """Count the values of one frame; `index` names it in reports."""
        self._num_frames += 1
        for name, value in values.items():
            self._totals[name] += value
        for first in self._metrics[:1]:
            badness = -values[first.name] if first.higher_is_better else values[first.name]
            if self._worst is None or badness > self._worst[0]:
                self._worst = (badness, index)

    def scores(self, name: str) -> VideoScores:
        """Return the means so far as those of the video `name`.

        Raises:
            InputError: No frame was scored.
        """
        if not self._num_frames:
            raise InputError(
                f"{name} must have a frame beside its reference frame to be scored, got none.",
                hint="Use `--set evaluate.protocol=disco-256`, which scores the reference, too.",
            )
        means = {metric: total / self._num_frames for metric, total in self._totals.items()}
        return VideoScores(name, self._num_frames, means, self._worst[1] if self._worst else None)


def score_video(
    video: TestVideo,
    candidates: Sequence[Candidate],
    protocol: Protocol,
    metrics: Sequence[MetricName],
    perceptual: PerceptualMeter | None = None,
) -> list[VideoScores]:
    """Compare what each of `candidates` shows with the scored frames of `video`, in order.

    Args:
        video: The test video.
        candidates: What is compared with it.
        protocol: How.
        metrics: Those of single frames that are measured.
        perceptual: Measures "lpips".

    Raises:
        InputError: A frame cannot be read, or none is left to score.
    """
    tallies = [ScoreTally(select_metrics(metrics)) for _ in candidates]
    for batch in in_batches(_scored_frames(video, candidates, protocol), _FRAMES_AT_ONCE):
        indices, truth, by_candidate = zip(*batch, strict=True)
        shown = list(zip(*by_candidate, strict=True))
        distances = perceptual.compare(truth, shown) if perceptual else [[]] * len(candidates)
        for tally, frames, lpips in zip(tallies, shown, distances, strict=True):
            for place, index in enumerate(indices):
                values = _measure(frames[place], truth[place], metrics)
                if perceptual:
                    values["lpips"] = lpips[place]
                tally.add(index, values)
    return [tally.scores(video.name) for tally in tallies]


def _measure(
    prediction: Frame, truth: Frame, metrics: Sequence[MetricName]
) -> dict[MetricName, float]:
    return {
        name: FRAME_MEASURES[name](prediction, truth) for name in metrics if name in FRAME_MEASURES
    }


def _scored_frames(
    video: TestVideo, candidates: Sequence[Candidate], protocol: Protocol
) -> Iterator[tuple[int, Frame, tuple[Frame, ...]]]:
    """Yield the index, the true frame and what each candidate shows of every frame to be scored."""
    shown = zip(*(candidate.frames(video) for candidate in candidates), strict=True)
    for index, truth, frames in zip(
        video.scored_indices, true_frames(video, protocol), shown, strict=True
    ):
        if protocol.include_reference_frame or index != video.reference_index:
            yield index, truth, frames
