"""The files of an evaluation: results.json, per_video.csv and report.md."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from dancelcm_cli.data.atomic import write_json_atomic, write_text_atomic
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.foreign_names import as_cell, as_code, as_markdown
from dancelcm_cli.evaluate.results import EvaluationResult, result_from_dict, result_to_dict
from dancelcm_cli.evaluate.self_check import CHECK_COLUMNS, check_table
from dancelcm_cli.evaluate.tables import COST_NOTE, Table, cost_table, tables
from dancelcm_cli.plain_files import read_json


def write_report(result: EvaluationResult, folder: Path) -> None:
    """Write the files of `result` into `folder`; each is whole or not there."""
    write_text_atomic(folder / "per_video.csv", _per_video_csv(result))
    write_text_atomic(folder / "report.md", "\n".join(_markdown(result)) + "\n")
    write_json_atomic(folder / "results.json", result_to_dict(result))


def read_results(path: Path) -> EvaluationResult:
    """Return the result that was saved as `path`, a results.json.

    Raises:
        InputError: The file is missing, damaged or of another version.
    """
    try:
        return result_from_dict(read_json(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} must be the results.json of an evaluation, but it cannot be read ({error}).",
            hint="Make it with `dancelcm evaluate`.",
        ) from error


def _per_video_csv(result: EvaluationResult) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    left_out = {"fvd", *result.skipped}  # that of a single video would mean nothing
    names = [metric.name for metric in result.metrics if metric.name not in left_out]
    writer.writerow(["row", "video", "frames", *names, "worst_frame"])
    for row in result.rows:
        for video in row.videos:
            values = [repr(video.means[name]) if name in video.means else "" for name in names]
            names_shown = as_cell(row.name), as_cell(video.name)
            writer.writerow([*names_shown, video.num_frames, *values, video.worst_frame])
    return text.getvalue()


def _markdown(result: EvaluationResult) -> Iterator[str]:
    """Yield the lines of report.md."""
    protocol = result.protocol
    yield from (
        f"# Evaluation on {result.dataset} ({as_markdown(result.split)})",
        "",
        f"{result.num_videos} videos, {result.num_frames} frames of"
        f" {protocol.height} x {protocol.width} pixels; protocol `{protocol.name}`.",
        f"Truth: {as_code(result.root)}.",
        "",
        *(line for table in tables(result, intervals=True) for line in (*_marked(table), "")),
        "Means over all frames, FVD over all clips, with 95 % bootstrap intervals over videos in"
        " brackets.",
        *(() if cost_table(result) is None else (COST_NOTE,)),
        "",
        *(f"- **{metric.label}**: {metric.definition}" for metric in result.metrics),
    )
    yield from _section("Where the frames are from", _sources(result))
    yield from _section(
        "Before comparing these numbers with those of papers", map(as_markdown, result.notes)
    )
    switches = asdict(protocol).items()
    yield from _section("Protocol", (f"{name}: `{_shown(value)}`" for name, value in switches))
    if result.self_check:
        yield from ("", "## Self-check", "", *_table(CHECK_COLUMNS, check_table(result.self_check)))
    weights = (f"weights of {metric}: sha256 `{sha}`" for metric, sha in result.weights.items())
    versions = (f"{name} {version}" for name, version in result.environment.items())
    yield from _section("Made with", (*versions, *weights))


def _sources(result: EvaluationResult) -> Iterator[str]:
    return (f"{as_markdown(row.name)}: {as_code(row.source)}" for row in result.rows if row.source)


def _section(title: str, items: Iterable[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "", *(f"- {item}" for item in items))


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _marked(table: Table) -> list[str]:
    """Return a table with the best values in bold."""
    rows = (
        [
            f"**{cell}**" if (row, column) in table.best else cell
            for column, cell in enumerate([as_markdown(cells[0]), *cells[1:]])
        ]
        for row, cells in enumerate(table.rows)
    )
    return _table(table.columns, rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
