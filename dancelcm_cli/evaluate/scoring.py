"""Scores of one video: two streams of frames in, a row of means out, in constant memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.frame_metrics import Frame, FrameMetric, select_metrics
from dancelcm_cli.evaluate.protocol import (
    Protocol,
    prediction_region,
    resize_region,
    truth_region,
)
from dancelcm_cli.evaluate.sources import FrameSource


@dataclass(frozen=True)
class VideoScores:
    """The mean of each metric over the scored frames of a video.

    `worst_frame` is the index, in the true video, of the frame with the worst value of the
    protocol's first metric.
    """

    name: str
    num_frames: int
    means: dict[str, float]
    worst_frame: int


class ScoreTally:
    """Adds up the scores of a video's frames in `metrics`; only sums are kept, no frames."""

    def __init__(self, metrics: Sequence[FrameMetric]) -> None:
        self._metrics = metrics
        self._totals = [0.0] * len(metrics)
        self._num_frames = 0
        self._worst: tuple[float, int] | None = None  # badness in the first metric, frame index

    def add(self, index: int, prediction: Frame, truth: Frame) -> None:
        """Score one pair of frames (H, W, 3) of the same size; `index` names it in reports."""
        values = [metric.measure(prediction, truth) for metric in self._metrics]
        self._totals = [total + value for total, value in zip(self._totals, values, strict=True)]
        self._num_frames += 1
        badness = -values[0] if self._metrics[0].higher_is_better else values[0]
        if self._worst is None or badness > self._worst[0]:
            self._worst = (badness, index)

    def scores(self, name: str) -> VideoScores:
        """Return the means so far as those of the video `name`.

        Raises:
            InputError: No frame was scored.
        """
        if self._worst is None:
            raise InputError(
                f"{name} must have a frame beside its reference frame to be scored, got none.",
                hint="Use `--set evaluate.protocol=disco-256`, which scores the reference, too.",
            )
        means = [total / self._num_frames for total in self._totals]
        names = [metric.name for metric in self._metrics]
        return VideoScores(
            name, self._num_frames, dict(zip(names, means, strict=True)), self._worst[1]
        )


@dataclass(frozen=True)
class Comparison:
    """What a prediction scores, and what its reference frame, repeated, would have scored."""

    prediction: VideoScores
    repeated_reference: VideoScores


def score_video(video: TestVideo, prediction: FrameSource, protocol: Protocol) -> Comparison:
    """Compare the frames of `prediction` with the scored frames of `video`, in order.

    Raises:
        InputError: A frame cannot be read, or none is left to score.
    """
    metrics = select_metrics(protocol.metrics)
    predicted, repeated = ScoreTally(metrics), ScoreTally(metrics)
    (reference_frame,) = video.truth.frames([video.reference_index])
    reference = _true_frame(protocol, reference_frame)
    indices = video.scored_indices
    true_frames = video.truth.frames(indices)
    predicted_frames = prediction.frames(range(len(indices)))
    for index, true_frame, predicted_frame in zip(
        indices, true_frames, predicted_frames, strict=True
    ):
        if index == video.reference_index and not protocol.include_reference_frame:
            continue
        truth = _true_frame(protocol, true_frame)
        predicted.add(index, _predicted_frame(protocol, predicted_frame, true_frame), truth)
        repeated.add(index, reference, truth)
    return Comparison(predicted.scores(video.name), repeated.scores(video.name))


def _true_frame(protocol: Protocol, frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    return resize_region(protocol, frame, truth_region(protocol, height, width))


def _predicted_frame(protocol: Protocol, frame: Frame, true_frame: Frame) -> Frame:
    region = prediction_region(protocol, *frame.shape[:2], *true_frame.shape[:2])
    return resize_region(protocol, frame, region)
