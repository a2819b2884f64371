"""What an evaluation found, as plain data that can be saved, read back and shown as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.costs import Cost
from dancelcm_cli.evaluate.estimates import ClipFacts, Estimate, estimate_mean
from dancelcm_cli.evaluate.metrics import Metric, select_metrics
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.evaluate.scoring import VideoScores
from dancelcm_cli.evaluate.self_check import Check

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class ResultRow:
    """The scores of one candidate on all videos; `source` is where its frames came from, if any.

    `cost` is what making them took, None where they were given.
    """

    name: str
    source: str
    estimates: dict[str, Estimate]  # by metric name
    videos: tuple[VideoScores, ...]
    cost: Cost | None = None


@dataclass(frozen=True)
class EvaluationResult:
    """The outcome of an evaluation: one row a candidate, and what a reader has to know of it.

    `coverage` is the share of the frames asked for that was scored; `weights` are the hashes of the
    networks behind metrics and `skipped` the reasons why metrics were not measured, both by metric;
    `notes` are sentences that say why the numbers cannot be compared with those of the papers.
    """

    dataset: str
    split: str
    root: str
    num_videos: int
    num_frames: int
    coverage: float
    protocol: Protocol
    rows: tuple[ResultRow, ...]
    clips: ClipFacts | None
    weights: dict[str, str]
    skipped: dict[str, str]
    self_check: tuple[Check, ...]
    notes: tuple[str, ...]
    environment: dict[str, str]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics in the order of the columns."""
        return select_metrics(self.protocol.metrics)


def make_row(
    name: str,
    source: str,
    videos: Sequence[VideoScores],
    fvd: Estimate | None = None,
    cost: Cost | None = None,
) -> ResultRow:
    """Return the row of a candidate from the scores of its videos, each weighted by its frames."""
    estimates = {}
    for metric in dict.fromkeys(metric for video in videos for metric in video.means):
        having = [video for video in videos if metric in video.means]
        estimates[metric] = estimate_mean(
            [video.weight(metric) for video in having], [video.means[metric] for video in having]
        )
    if fvd is not None:
        estimates["fvd"] = fvd
    return ResultRow(name, source, estimates, tuple(videos), cost)


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
    fields["clips"] = ClipFacts(**fields["clips"]) if fields["clips"] else None
    fields["self_check"] = tuple(Check(**check) for check in fields["self_check"])
    fields["notes"] = tuple(fields["notes"])
    return EvaluationResult(**fields)


def _row_from_dict(data: Mapping[str, Any]) -> ResultRow:
    return ResultRow(
        data["name"],
        data["source"],
        {name: Estimate(**estimate) for name, estimate in data["estimates"].items()},
        tuple(VideoScores(**video) for video in data["videos"]),
        Cost(**data["cost"]) if data["cost"] else None,
    )
