"""`dancelcm models list`: which weights of others there are, and which are here."""

from __future__ import annotations

from typing import Annotated

import typer

from dancelcm_cli.console import print_json, print_result, print_table
from dancelcm_cli.data.weight_files import (
    WeightStatus,
    readable_size,
    weight_status,
    weights_folder,
    weights_path,
)
from dancelcm_cli.data.weight_table import WEIGHTS, WeightFile

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm models list

$ dancelcm models list --json
"""


def list_models(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON in place of the table, with hashes and mirrors."),
    ] = False,
) -> None:
    """List the weights of others that dancelcm can use, and which of them are here.

    Reads no weights: a file that was touched since its hash was looked at is
    shown as not checked.
    """
    folder = weights_folder()
    statuses = {file: weight_status(file, folder) for file in WEIGHTS}
    if as_json:
        rows = [_facts(file, status) for file, status in statuses.items()]
        print_json({"folder": str(folder), "weights": rows})
        return
    columns = ("name", "for", "licence", "here", "size")
    cells = [_row(file, status) for file, status in statuses.items()]
    print_table(f"Weights in {folder}", columns, cells, text_columns=4)
    here = sum(file.size for file, status in statuses.items() if status.state != "missing")
    total = sum(file.size for file in statuses)
    print_result({"total": readable_size(total), "here": readable_size(here)})


def _row(file: WeightFile, status: WeightStatus) -> tuple[str, ...]:
    size = readable_size(file.size)
    return (file.name, file.purpose, file.licence.name, _here(file, status), size)


def _here(file: WeightFile, status: WeightStatus) -> str:
    date = status.record.date if status.record else ""
    if status.state == "missing":
        return f"{status.fetched / file.size:.0%} fetched" if status.fetched else "no"
    if status.state == "verified":
        return "verified"
    return f"hash recorded on {date}" if status.state == "recorded" else "not checked"


def _facts(file: WeightFile, status: WeightStatus) -> dict[str, object]:
    return {
        "name": file.name,
        "purpose": file.purpose,
        "path": str(weights_path(file, weights_folder())),
        "state": status.state,
        "size": file.size,
        "sha256": file.sha256,
        "recorded_sha256": status.record.sha256 if status.record else None,
        "licence": {"name": file.licence.name, "url": file.licence.url},
        "mirrors": [mirror.url for mirror in file.mirrors],
    }
