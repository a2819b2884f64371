"""`dancelcm models fetch`: weights of others come from their mirrors into the cache."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dancelcm_cli.console import RichProgress, print_result
from dancelcm_cli.data.weight_table import WEIGHTS, Licence

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm models fetch i3d lpips-vgg

$ dancelcm models fetch unianimate --from /media/stick --accept-licence
"""


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help=f"What to fetch: {', '.join(file.name for file in WEIGHTS)}."
        ),
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licences without being asked.")
    ] = False,
    copies: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FOLDER", help="Take the files from a folder, not from the network."
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Fetch nothing; only say what is missing.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder to keep them in.",
            show_default="~/.cache/dancelcm/weights",
        ),
    ] = None,
) -> None:
    """Fetch weights of others, and check them against their hashes.

    Shows every licence and asks once. A fetch that broke off is continued by
    the same command. DANCELCM_CACHE moves the cache; DANCELCM_OFFLINE=1 forbids
    the network.
    """
    from dancelcm_cli.data.downloads import fetch_files

    progress = RichProgress()

    def consent(licence: Licence, of_names: Sequence[str]) -> bool:
        progress.note(f"{', '.join(of_names)}: {licence.name}, {licence.url}")
        return accept_licence or _agrees()

    paths = fetch_files(names, output, copies, offline, consent, progress)
    print_result(dict(zip(dict.fromkeys(names), paths, strict=True)))


def _agrees() -> bool:
    """Ask at a terminal; where nobody can answer, nobody agrees."""
    return sys.stdin.isatty() and typer.confirm("Do you accept this licence?", err=True)
