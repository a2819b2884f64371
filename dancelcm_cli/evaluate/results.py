"""What an evaluation found, as plain data that can be saved, read back and shown as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.frame_metrics import FrameMetric, select_metrics
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.evaluate.scoring import VideoScores
from dancelcm_cli.seeding import stream_seed

SCHEMA_VERSION = 1
REPEATED_REFERENCE = "repeated reference frame"

_RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over all frames, with the 95 % bootstrap interval over videos (None for one video)."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ResultRow:
    """The scores of one method on all videos."""

    name: str
    estimates: dict[str, Estimate]  # by metric name
    videos: tuple[VideoScores, ...]


@dataclass(frozen=True)
class EvaluationResult:
    """The outcome of an evaluation: one row a method, and what a reader has to know of it.

    `coverage` is the share of the frames asked for that was scored; `notes` are sentences that say
    why the numbers cannot be compared with those of the papers.
    """

    dataset: str
    split: str
    root: str
    predictions: str
    num_videos: int
    num_frames: int
    coverage: float
    protocol: Protocol
    rows: tuple[ResultRow, ...]
    notes: tuple[str, ...]
    environment: dict[str, str]

    @property
    def metrics(self) -> tuple[FrameMetric, ...]:
        """The metrics in the order of the columns."""
        return select_metrics(self.protocol.metrics)

    @property
    def columns(self) -> tuple[str, ...]:
        """The headings of `table`; arrows point to better values."""
        return ("", *(metric.heading for metric in self.metrics))

    def table(self, intervals: bool = False) -> tuple[tuple[str, ...], ...]:
        """Return a line of cells for each row: its name, then its values as they are shown."""
        return tuple(
            (row.name, *(_cell(metric, row, intervals) for metric in self.metrics))
            for row in self.rows
        )


def make_row(name: str, videos: Sequence[VideoScores]) -> ResultRow:
    """Return the row of a method from the scores of its videos, each weighted by its frames."""
    names = videos[0].means
    return ResultRow(name, {metric: _estimate(videos, metric) for metric in names}, tuple(videos))


def result_to_dict(result: EvaluationResult) -> dict[str, object]:
    """Return `result` as it is saved in `results.json`."""
    return {"schema_version": SCHEMA_VERSION, **asdict(result)}


def result_from_dict(data: Mapping[str, Any]) -> EvaluationResult:
    """Return the result that `result_to_dict` saved.

    Raises:
        InputError: It is of another version.
    """
    fields = dict(data)
    version = fields.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise InputError(
            f"The schema version of a result must be {SCHEMA_VERSION}, got {version}.",
            hint="Run `dancelcm evaluate` again with this version of dancelcm.",
        )
    protocol = {**fields["protocol"], "metrics": tuple(fields["protocol"]["metrics"])}
    fields["protocol"] = Protocol(**protocol)
    fields["rows"] = tuple(map(_row_from_dict, fields["rows"]))
    fields["notes"] = tuple(fields["notes"])
    return EvaluationResult(**fields)


def _row_from_dict(data: Mapping[str, Any]) -> ResultRow:
    return ResultRow(
        data["name"],
        {name: Estimate(**estimate) for name, estimate in data["estimates"].items()},
        tuple(VideoScores(**video) for video in data["videos"]),
    )


def _estimate(videos: Sequence[VideoScores], metric: str) -> Estimate:
    counts = np.array([video.num_frames for video in videos], dtype=np.float64)
    totals = counts * [video.means[metric] for video in videos]
    value = float(totals.sum() / counts.sum())
    if len(videos) < 2:
        return Estimate(value, None, None)
    # The same resamples for every metric and every method, so that rows can be compared.
    random = np.random.default_rng(stream_seed(0, "evaluate", "bootstrap"))
    picks = random.integers(len(videos), size=(_RESAMPLES, len(videos)))
    resampled = totals[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def _cell(metric: FrameMetric, row: ResultRow, interval: bool) -> str:
    estimate = row.estimates[metric.name]
    text = format(estimate.value, metric.digits)
    if not interval or estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{estimate.low:{metric.digits}}, {estimate.high:{metric.digits}}]"
