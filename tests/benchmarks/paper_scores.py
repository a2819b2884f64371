"""Scores of the rows, over their seeds, and whether they stand to DanceLCM as in the paper."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.evaluate.candidates import REPEATED_REFERENCE
from dancelcm_cli.evaluate.metrics import Metric, select_metrics
from dancelcm_cli.evaluate.report import read_results
from dancelcm_cli.evaluate.results import EvaluationResult
from tests.benchmarks.paper_rows import (
    BASELINE,
    BASELINE_STEPS,
    METRICS,
    PAPER_BASELINE,
    STAND_INS,
    Line,
    Table,
)
from tests.benchmarks.paper_runs import Job, Plan, is_scored, scores_folder

STANDING = (REPEATED_REFERENCE, 0)  # the picture that does not move: no run, no network call
Row = tuple[str, int]  # run and steps
Scores = Mapping[Row, Mapping[str, Sequence[float]]]  # by metric, a value a seed


@dataclass(frozen=True)
class Column:
    """A metric of the paper, and what was measured for it: the same, or its stand-in."""

    paper: Metric
    measured: Metric

    @property
    def heading(self) -> str:
        """What was measured, and, where it is another, what for."""
        stands_in = self.measured is not self.paper
        return self.measured.heading + (f" (for {self.paper.label})" if stands_in else "")


@dataclass(frozen=True)
class Cell:
    """A column of a row: our values, one a seed, and the paper's figure, None where it has none.

    `agrees` says whether the row is better or worse than DanceLCM at 4 steps as it is in the paper;
    None where either side has no such difference to show. `unsure` says that ours is no larger than
    the larger spread of the two over their seeds.
    """

    column: Column
    values: tuple[float, ...] = ()
    paper: float | None = None
    agrees: bool | None = None
    unsure: bool = False

    @property
    def mean(self) -> float | None:
        """The mean over the seeds; None where nothing was measured."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds; None of fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def result_of(plan: Plan, job: Job) -> EvaluationResult:
    """Return the evaluation of a finished row."""
    return read_results(scores_folder(plan, job) / "results.json")


def collect_scores(plan: Plan, jobs: Sequence[Job]) -> Scores:
    """Return the scores of all rows that are done, with those of the repeated reference frame."""
    scores: dict[Row, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        if not is_scored(plan, job):
            continue
        result = result_of(plan, job)
        for steps in job.steps:
            _add(scores[job.run.name, steps], result, f", {steps} step{'s' if steps > 1 else ''}")
        if STANDING not in scores:  # the same in every evaluation
            _add(scores[STANDING], result, REPEATED_REFERENCE)
    return scores


def _add(values: dict[str, list[float]], result: EvaluationResult, ending: str) -> None:
    row = next(row for row in result.rows if row.name.endswith(ending))
    for name, estimate in row.estimates.items():
        values[name].append(estimate.value)


def table_columns(scores: Scores) -> list[Column]:
    """Return a column for each metric of the paper; a stand-in's where no row has the metric."""
    known = {name for values in scores.values() for name in values}

    def measured(name: MetricName) -> MetricName:
        stand_in = STAND_INS.get(name)
        return stand_in if stand_in in known and name not in known else name

    ours = select_metrics([measured(name) for name in METRICS])
    return [Column(*pair) for pair in zip(select_metrics(METRICS), ours, strict=True)]


def table_cells(table: Table, scores: Scores) -> list[tuple[Line, list[Cell]]]:
    """Return the cells of each line of `table`, one a column."""
    return [(line, line_cells(line, scores)) for line in table.lines]


def line_cells(line: Line, scores: Scores) -> list[Cell]:
    """Return the cells of a line, one a column."""
    return [_cell(column, line, scores) for column in table_columns(scores)]


def _cell(column: Column, line: Line, scores: Scores) -> Cell:
    name = column.measured.name
    paper = (line.paper or {}).get(column.paper.name)
    values = tuple(scores.get((line.run, line.steps), {}).get(name, ()))
    base = tuple(scores.get((BASELINE, BASELINE_STEPS), {}).get(name, ()))
    is_baseline = (line.run, line.steps) == (BASELINE, BASELINE_STEPS)
    if is_baseline or paper is None or not values or not base:
        return Cell(column, values, paper)
    difference = statistics.fmean(values) - statistics.fmean(base)
    spreads = [statistics.stdev(several) for several in (values, base) if len(several) > 1]
    return Cell(
        column,
        values,
        paper,
        signs_agree(difference, paper - PAPER_BASELINE[column.paper.name]),
        unsure=bool(spreads) and abs(difference) <= max(spreads),
    )


def signs_agree(ours: float, papers: float) -> bool | None:
    """Whether two differences point the same way; None where one of them is none."""
    return None if ours == 0 or papers == 0 else math.copysign(1, ours) == math.copysign(1, papers)
