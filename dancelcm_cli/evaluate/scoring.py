"""Scores of one video: streams of frames in, a row of means a candidate out, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.candidates import Candidate, true_frames
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.frame_log import FrameLog
from dancelcm_cli.evaluate.meters import Meter, Moment, Values
from dancelcm_cli.evaluate.metrics import Metric, select_metrics
from dancelcm_cli.evaluate.protocol import Protocol, life_size


@dataclass(frozen=True)
class VideoScores:
    """The mean of each metric of single frames over the scored frames of a video.

    `worst_frame` is the index, in the true video, of the frame with the worst value of the first
    of these metrics; None where there are none. `counts` are the numbers of frames that a metric
    has a value for, by name, where it has none for some.
    """

    name: str
    num_frames: int
    means: dict[str, float]
    worst_frame: int | None
    counts: dict[str, int] = field(default_factory=dict)

    def weight(self, metric: str) -> int:
        """Return how many frames the mean of `metric` is of."""
        return self.counts.get(metric, self.num_frames) if metric in self.means else 0


class ScoreTally:
    """Adds up the scores of a video's frames in `metrics`; only sums are kept, no frames."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics
        self._totals: dict[str, float] = {metric.name: 0.0 for metric in metrics}
        self._counts: dict[str, int] = {metric.name: 0 for metric in metrics}
        self._worst: tuple[float, int] | None = None  # badness in the first metric, frame index

    def add(self, index: int, values: Values) -> None:
        """Count the values of one frame; `index` names it in reports."""
        for name, value in values.items():
            self._totals[name] += value
            self._counts[name] += 1
        for first in self._metrics[:1]:
            if first.name in values:
                badness = first.badness(values[first.name])
                if self._worst is None or badness > self._worst[0]:
                    self._worst = (badness, index)

    def scores(self, name: str, num_frames: int) -> VideoScores:
        """Return the means so far as those of the video `name`, of which these many were scored."""
        counts = {metric: count for metric, count in self._counts.items() if count}
        return VideoScores(
            name,
            num_frames,
            {metric: self._totals[metric] / count for metric, count in counts.items()},
            self._worst[1] if self._worst else None,
            {metric: count for metric, count in counts.items() if count != num_frames},
        )


def score_video(
    video: TestVideo,
    candidates: Sequence[Candidate],
    protocol: Protocol,
    meters: Sequence[Meter],
    log: FrameLog | None = None,
) -> list[VideoScores]:
    """Compare what each of `candidates` shows with the scored frames of `video`, in order.

    Args:
        video: The test video.
        candidates: What is compared with it.
        protocol: How.
        meters: What measures; each sees the video once.
        log: Is told the values of every frame.

    Raises:
        InputError: A frame cannot be read, or none is left to score.
    """
    num_frames = sum(_counts(index, video, protocol) for index in video.scored_indices)
    if not num_frames:
        raise InputError(
            f"{video.name} must have a frame beside its reference frame to be scored, got none.",
            hint="Use `--set evaluate.protocol=disco-256`, which scores the reference, too.",
        )
    measured = [name for name in protocol.metrics if any(name in m.metrics for m in meters)]
    tallies = [ScoreTally(select_metrics(measured)) for _ in candidates]
    for meter in meters:
        moments = _moments(video, candidates, protocol, meter.life_size)
        for index, by_candidate in zip(video.scored_indices, meter.measure(moments), strict=True):
            if not _counts(index, video, protocol):
                continue
            for tally, candidate, values in zip(tallies, candidates, by_candidate, strict=True):
                tally.add(index, values)
                if log is not None:
                    log.add(candidate.name, video.name, index, values)
    return [tally.scores(video.name, num_frames) for tally in tallies]


def _counts(index: int, video: TestVideo, protocol: Protocol) -> bool:
    """Return whether the frame is scored: the one that was given may be left out."""
    return protocol.include_reference_frame or index != video.reference_index


def _moments(
    video: TestVideo, candidates: Sequence[Candidate], protocol: Protocol, keep_aspect: bool
) -> Iterator[Moment]:
    """Yield the true frame and what each candidate shows, for every frame asked for."""
    sight = life_size(protocol, video.reference) if keep_aspect else protocol
    shown = zip(*(candidate.frames(video, sight) for candidate in candidates), strict=True)
    return zip(true_frames(video, sight), shown, strict=True)
