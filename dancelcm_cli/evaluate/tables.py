"""Tables of a result as cells of text: the paper's rows in their place, the best values marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dancelcm_cli.data.weight_files import readable_size
from dancelcm_cli.evaluate.candidates import REFERENCE_ROWS
from dancelcm_cli.evaluate.estimates import Estimate
from dancelcm_cli.evaluate.metrics import BEYOND_THE_PAPERS, Metric
from dancelcm_cli.evaluate.paper_rows import PAPER_ROWS
from dancelcm_cli.evaluate.protocol import DISCO_256, Protocol
from dancelcm_cli.evaluate.results import EvaluationResult

SKIPPED = "skipped"  # could not be measured
NOTHING = "-"  # there was nothing to be measured, such as no face; or it was not published
SORTED_BY = ("fvd", "lpips", "psnr")  # the first of these that is measured
COST_COLUMNS = ("", "network calls", "s/frame", "memory")
COST_NOTE = (
    "Time is the median over the videos, without loading the model; in one or two videos what a"
    " process does only once, such as loading the detectors, counts. Memory is the most that was"
    " taken while the row was made: by tensors on a GPU, else by the process, which can forget what"
    " earlier rows took only on Linux."
)


@dataclass(frozen=True)
class Table:
    """Headings and rows of cells; `best` are the places (row, column) of the best values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class _Line:
    name: str
    estimates: Mapping[str, Estimate]
    competes: bool


def paper_table(result: EvaluationResult, intervals: bool = False) -> Table:
    """Return the metrics of the papers, whose own rows are in their place if they mean the same.

    The papers do not tell whether their clips were compressed, so that `fvd_codec` is left open.
    """
    metrics = [metric for metric in result.metrics if metric.name not in BEYOND_THE_PAPERS]
    lines = [_Line(r.name, r.estimates, r.name not in REFERENCE_ROWS) for r in result.rows]
    published = PAPER_ROWS.get(result.dataset, ()) if _as_in_papers(result.protocol) else ()
    if published:
        known = {metric.name for metric in metrics}
        lines += [
            _Line(
                row.name,
                {n: Estimate(v, None, None) for n, v in row.values.items() if n in known},
                True,
            )
            for row in published
        ]
        lines = _in_place(lines, metrics)
    return _table(result, metrics, lines, intervals)


def beyond_table(result: EvaluationResult, intervals: bool = False) -> Table | None:
    """Return the metrics that papers do not report, None where there are none."""
    metrics = [metric for metric in result.metrics if metric.name in BEYOND_THE_PAPERS]
    lines = [_Line(r.name, r.estimates, r.name not in REFERENCE_ROWS) for r in result.rows]
    return _table(result, metrics, lines, intervals) if metrics else None


def cost_table(result: EvaluationResult) -> Table | None:
    """Return what the predictions cost to make, None where nobody knows."""
    rows = tuple(
        (
            row.name,
            str(row.cost.network_calls),
            f"{row.cost.seconds_per_frame:.3g}",
            NOTHING if row.cost.memory is None else readable_size(row.cost.memory),
        )
        for row in result.rows
        if row.cost is not None
    )
    return Table(COST_COLUMNS, rows) if rows else None


def tables(result: EvaluationResult, intervals: bool = False) -> list[Table]:
    """Return all tables of `result`."""
    optional = (beyond_table(result, intervals), cost_table(result))
    return [paper_table(result, intervals), *(table for table in optional if table is not None)]


def _as_in_papers(protocol: Protocol) -> bool:
    """Return whether numbers under `protocol` mean what those of the papers mean."""
    as_stated = replace(
        DISCO_256,
        metrics=protocol.metrics,
        geometry=protocol.geometry,  # the data set's own; a note tells of another one
        fvd_codec=protocol.fvd_codec,
    )
    return protocol == as_stated


def _in_place(lines: Sequence[_Line], metrics: Sequence[Metric]) -> list[_Line]:
    """Return rows that do not compete first, then the others from the worst to the best."""
    for name in SORTED_BY:
        for metric in metrics:
            if metric.name == name and any(name in line.estimates for line in lines[:2]):
                return sorted(lines, key=lambda line: (line.competes, -_badness(metric, line)))
    return list(lines)


def _badness(metric: Metric, line: _Line) -> float:
    estimate = line.estimates.get(metric.name)
    return float("inf") if estimate is None else metric.badness(estimate.value)


def _table(
    result: EvaluationResult, metrics: Sequence[Metric], lines: Sequence[_Line], intervals: bool
) -> Table:
    rows = tuple(
        (
            line.name,
            *(
                _cell(metric, line.estimates.get(metric.name), intervals)
                or (SKIPPED if metric.name in result.skipped and _ours(result, line) else NOTHING)
                for metric in metrics
            ),
        )
        for line in lines
    )
    best = frozenset(
        (row, column) for column, metric in enumerate(metrics, 1) for row in _best(metric, lines)
    )
    return Table(("", *(metric.heading for metric in metrics)), rows, best)


def _ours(result: EvaluationResult, line: _Line) -> bool:
    return any(line.name == row.name for row in result.rows)


def _best(metric: Metric, lines: Sequence[_Line]) -> Iterable[int]:
    """Yield which row is the best of several that compete."""
    rows = [
        row for row, line in enumerate(lines) if line.competes and metric.name in line.estimates
    ]
    if len(rows) > 1:
        yield min(rows, key=lambda row: _badness(metric, lines[row]))


def _cell(metric: Metric, estimate: Estimate | None, interval: bool) -> str:
    """Return the value as it is shown, nothing where there is none."""
    if estimate is None:
        return ""
    text = format(estimate.value, metric.digits)
    if not interval or estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{estimate.low:{metric.digits}}, {estimate.high:{metric.digits}}]"
