"""Meters: what turns frames of the truth and of candidates, side by side, into scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.evaluate.batching import in_batches
from dancelcm_cli.evaluate.frame_metrics import FRAME_MEASURES, Frame
from dancelcm_cli.evaluate.perceptual import PerceptualMeter

FRAMES_AT_ONCE = 8  # LPIPS looks at a still once for all of them

Moment = tuple[Frame, Sequence[Frame]]  # a true frame, and what each candidate shows at that time
Values = Mapping[MetricName, float]  # a metric that says nothing of a frame is not in it


class Meter(Protocol):
    """Scores the frames of a video as they come, those of all candidates at once."""

    @property
    def metrics(self) -> Sequence[MetricName]:
        """What is measured."""
        ...

    @property
    def life_size(self) -> bool:
        """Whether frames must keep their aspect: else they come in the protocol's size."""
        ...

    def measure(self, moments: Iterable[Moment]) -> Iterator[Sequence[Values]]:
        """Yield, for each of the consecutive `moments`, the values of each candidate.

        Raises:
            InputError: Something is no 8-bit RGB frame.
        """
        ...


class PixelMeter:
    """The metrics that compare a frame with its truth pixel by pixel, and LPIPS."""

    life_size = False

    def __init__(
        self, metrics: Sequence[MetricName], perceptual: PerceptualMeter | None = None
    ) -> None:
        self.metrics = metrics
        self._perceptual = perceptual

    def measure(self, moments: Iterable[Moment]) -> Iterator[Sequence[Values]]:
        """Yield the values of each candidate at each moment."""
        for batch in in_batches(moments, FRAMES_AT_ONCE):
            truth = [moment[0] for moment in batch]
            shown = list(zip(*(moment[1] for moment in batch), strict=True))
            if self._perceptual is None:
                distances = [[float("nan")] * len(batch)] * len(shown)
            else:
                distances = self._perceptual.compare(truth, shown)
            for place, true_frame in enumerate(truth):
                yield [
                    self._values(frames[place], true_frame, lpips[place])
                    for frames, lpips in zip(shown, distances, strict=True)
                ]

    def _values(self, prediction: Frame, truth: Frame, lpips: float) -> Values:
        values: dict[MetricName, float] = {
            name: FRAME_MEASURES[name](prediction, truth)
            for name in self.metrics
            if name in FRAME_MEASURES
        }
        return values if self._perceptual is None else {**values, "lpips": lpips}
