"""`dancelcm doctor`: whether this machine can animate, and what to type where it cannot."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import shorten
from typing import Annotated

import typer

from dancelcm_cli import __version__
from dancelcm_cli.console import RichProgress, print_json, print_result, print_table
from dancelcm_cli.errors import InputError

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm doctor

$ dancelcm doctor --json
"""
FOUND_WIDTH = 90  # characters of a finding that the table shows; JSON has all of them


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of the table.")
    ] = False,
) -> None:
    """Check that animating works here, and say how to mend what does not.

    Looks at Python, libraries, GPU, codecs, memory, disk, the bundled model and
    fetched weights. Fails where the bundled model could not animate; a warning
    is for what else is slower or does not work.
    """
    from dancelcm_cli.doctor.examination import examine, prevents_animation

    checks = examine(RichProgress())
    fails = prevents_animation(checks)
    if as_json:
        rows = [asdict(check) for check in checks]
        print_json({"dancelcm": __version__, "can_animate": not fails, "checks": rows})
    else:
        cells = [(check.state, check.name, shorten(check.found, FOUND_WIDTH)) for check in checks]
        print_table(f"dancelcm {__version__}", ("", "check", "found"), cells, text_columns=3)
        print_result({f"fix {check.name}": check.fix for check in checks if check.fix})
    if fails:
        failed = ", ".join(check.name for check in checks if check.state == "fail")
        raise InputError(
            f"Everything that animating needs must work here, but this fails: {failed}.",
            hint="Mend it from the top, and type: dancelcm doctor",
        )
