"""The table of a batch: one animation a row.

    reference,driving,output,seed,steps
    ann.jpg,waltz.mp4,ann-waltz.mp4,,
    bob.jpg,waltz.mp4,bob/waltz.gif,7,8

`seed` and `steps` may be missing or empty. Paths are relative to the table, outputs to the folder
of the batch. A table may come from anywhere: it may read what the user may, but write nothing
outside that folder, which only the command line chooses.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dancelcm_cli.animate.outputs import Format, plan_outputs
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.config.validation import validate_recipe
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import require_plain_file

NEEDED = ("reference", "driving", "output")
NUMBERS = ("seed", "steps")
WHOLE_NUMBER = re.compile(r"[0-9]{1,20}")  # as long as any seed, which may have 64 bits
SHOWN = 40  # characters of a cell that is none


def read_jobs(
    table: Path, folder: Path, model: Model, recipe: Recipe, format: Format | None
) -> list[Job]:
    """Read the jobs of a CSV file whose outputs belong into `folder`.

    Raises:
        InputError: the table is damaged, or an output lies outside `folder` or is made twice.
        ConfigError: a seed or a number of steps is out of range.
    """
    jobs: list[Job] = []
    taken: dict[Path, int] = {}
    for line, row in _read_rows(table):
        job = _job(f"line {line} of {table}", row, table.parent, folder, model, recipe)
        outputs = plan_outputs(job.output, format)
        for path in (path.resolve() for path in outputs.paths):
            if path in taken:
                raise InputError(
                    f"An output must be made once, but {path} is in lines {taken[path]} and {line}"
                    f" of {table}.",
                    hint="Give each job an output of its own; the suffix alone does not do.",
                )
            taken[path] = line
        jobs.append(job)
    if not jobs:
        raise InputError(f"{table} must hold jobs, got none.", hint=f"Start with {_header()}")
    return jobs


def _read_rows(table: Path) -> Sequence[tuple[int, Mapping[str, str]]]:
    """Return every row with the line in which it ends, as a text for each column."""
    require_plain_file(table, "a CSV file in UTF-8", hint=f"Start one with {_header()}")
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(table, list(reader.fieldnames or ()))
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{table} must be a CSV file in UTF-8, got: {error}.",
            hint="Save it as CSV, with commas between the cells.",
        ) from error
    for line, row in rows:
        if None in row or None in row.values():
            raise InputError(
                f"Line {line} of {table} must have a cell for each column.",
                hint='Put a cell with a comma into quotes: "a, b.jpg"',
            )
    return rows


def _check_header(table: Path, names: list[str]) -> None:
    missing = [name for name in NEEDED if name not in names]
    unknown = [name for name in names if name not in NEEDED + NUMBERS]
    if missing or unknown or len(set(names)) < len(names):
        raise InputError(
            f"The columns of {table} must be {', '.join(NEEDED)} and, if wanted,"
            f" {' and '.join(NUMBERS)}, got {', '.join(map(repr, names)) or 'none'}.",
            hint=f"Start with the line {_header()}",
        )


def _job(
    where: str,
    row: Mapping[str, str],
    inputs: Path,
    folder: Path,
    model: Model,
    recipe: Recipe,
) -> Job:
    for name in NEEDED:
        if not row[name].strip() or "\0" in row[name]:
            raise InputError(f"`{name}` in {where} must be a path, got {row[name]!r}.")
    numbers = {name: _number(where, name, row.get(name, "")) for name in NUMBERS}
    if (seed := numbers["seed"]) is not None:
        recipe = replace(recipe, seed=seed)
    if (steps := numbers["steps"]) is not None:
        recipe = replace(recipe, animate=replace(recipe.animate, steps=steps))
    validate_recipe(recipe)
    output = folder / row["output"]
    if folder.resolve() not in output.resolve().parents:
        raise InputError(
            f"`output` in {where} must lie in {folder}, got {row['output']}.",
            hint="Name the folder that holds all outputs by --output.",
        )
    return Job(inputs / row["reference"], inputs / row["driving"], output, model, recipe)


def _number(where: str, name: str, cell: str) -> int | None:
    if not cell.strip():
        return None
    if not WHOLE_NUMBER.fullmatch(cell.strip()):
        raise InputError(
            f"`{name}` in {where} must be a whole number or empty, got {cell[:SHOWN]!r}."
        )
    return int(cell)


def _header() -> str:
    return ",".join(NEEDED + NUMBERS)
