"""The files of an evaluation: results.json, protocol.json, per_video.csv and report.md."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from dancelcm_cli.data.atomic import write_json_atomic, write_text_atomic
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.results import (
    EvaluationResult,
    result_from_dict,
    result_to_dict,
)


def write_report(result: EvaluationResult, folder: Path) -> None:
    """Write the files of `result` into `folder`; each is whole or not there."""
    write_text_atomic(folder / "per_video.csv", _per_video_csv(result))
    write_text_atomic(folder / "report.md", _markdown(result))
    write_json_atomic(folder / "protocol.json", asdict(result.protocol))
    write_json_atomic(folder / "results.json", result_to_dict(result))


def read_results(path: Path) -> EvaluationResult:
    """Return the result that was saved as `path`, a results.json.

    Raises:
        InputError: The file is missing, damaged or of another version.
    """
    try:
        return result_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} must be the results.json of an evaluation, but it cannot be read ({error}).",
            hint="Make it with `dancelcm evaluate`.",
        ) from error


def _per_video_csv(result: EvaluationResult) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = result.protocol.metrics
    writer.writerow(["row", "video", "frames", *names, "worst_frame"])
    for row in result.rows:
        for video in row.videos:
            values = [repr(video.means[name]) for name in names]
            writer.writerow([row.name, video.name, video.num_frames, *values, video.worst_frame])
    return text.getvalue()


def _markdown(result: EvaluationResult) -> str:
    protocol = result.protocol
    return "\n".join(
        [
            f"# Evaluation on {result.dataset} ({result.split})",
            "",
            f"{result.num_videos} videos, {result.num_frames} frames of"
            f" {protocol.height} x {protocol.width} pixels; protocol `{protocol.name}`,"
            f" geometry {protocol.geometry}.",
            f"Truth: `{result.root}`. Predictions: `{result.predictions}`.",
            "",
            *_table(result.columns, result.table(intervals=True)),
            "",
            "Means over all frames, with 95 % bootstrap intervals over videos in brackets.",
            "",
            *(f"- **{metric.label}**: {metric.definition}" for metric in result.metrics),
            "",
            "## Before comparing these numbers with those of papers",
            "",
            *(f"- {note}" for note in result.notes),
            "",
            "## Made with",
            "",
            *(f"- {name} {version}" for name, version in result.environment.items()),
            "",
        ]
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
