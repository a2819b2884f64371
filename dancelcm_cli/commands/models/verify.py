"""`dancelcm models verify`: whether model folders and fetched weights are what they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancelcm_cli.console import RichProgress, print_result, print_table
from dancelcm_cli.data.weight_files import readable_size, verify_file
from dancelcm_cli.data.weight_table import WEIGHTS
from dancelcm_cli.errors import DanceLCMError, InputError, PartialFailureError

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm models verify runs/distill-20250101-120000/model

$ dancelcm models verify models/unianimate unianimate clip-vit-h-14
"""
SHOWN = 10  # problems of one target


def verify(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL|NAME...", help="Model folders, or names of `dancelcm models list`."
        ),
    ],
) -> None:
    """Check that model folders load and hold finite numbers, and fetched weights their hash.

    Prints size and sha256 of every file, and parameters by part. All targets are
    checked before the command fails.
    """
    progress = RichProgress()
    failed = []
    for target in targets:
        try:
            problems = _verify(target, progress)
        except DanceLCMError as error:
            if len(targets) == 1:
                raise
            problems = [error.message]
        for problem in problems[:SHOWN]:
            progress.note(f"{target}: {problem}")
        if problems:
            failed.append(f"{target} ({len(problems)})")
    if failed:
        kind = InputError if len(failed) == len(targets) else PartialFailureError
        raise kind(
            f"All must be as they were made, but there are problems with {', '.join(failed)}.",
            hint="Copy, fetch or convert them again.",
        )


def _verify(target: str, progress: RichProgress) -> list[str]:
    """Print what there is to know of a model folder or of fetched weights; return its problems."""
    if target in {file.name for file in WEIGHTS} and not Path(target).exists():
        record = verify_file(target)
        print_result({"weights": target, "bytes": f"{record.size:,}", "sha256": record.sha256})
        return []

    from dancelcm_cli.models.verify import verify_folder

    verdict = verify_folder(Path(target), progress)
    rows = [(file.name, file.sha256, readable_size(file.size)) for file in verdict.files]
    print_table(target, ("file", "sha256", "size"), rows, text_columns=2)
    print_result({f"{part}, parameters": f"{n:,}" for part, n in verdict.parameters.items()})
    return list(verdict.problems)
