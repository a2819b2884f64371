"""The root command, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated

import typer

from dancelcm_cli import __version__
from dancelcm_cli.commands import (
    animate,
    bench,
    danceset,
    distill,
    doctor,
    evaluate,
    preprocess,
    train,
)
from dancelcm_cli.commands.models.group import models
from dancelcm_cli.console import print_error, print_result
from dancelcm_cli.errors import (
    DISK_FULL,
    OPEN_FILES,
    SAME_AGAIN,
    SMALLER,
    DanceLCMError,
    InterruptedRunError,
    OutOfMemoryError,
    ran_out_of_memory,
    refused_by_system,
)
from dancelcm_cli.interrupt import Interruption, sigterm_as_ctrl_c, typed_command

DEBUG_VARIABLE = "DANCELCM_DEBUG"  # 1: tracebacks and third parties' warnings are shown
RANK = "RANK"  # of this process among those that torchrun or accelerate started
# Told by their numbers alone; EAGAIN is of a thread for which there was no room.
WITHOUT_A_FILE = DISK_FULL | OPEN_FILES | {errno.ENOMEM, errno.EAGAIN, errno.EIO}

app = typer.Typer(
    name="dancelcm",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=animate.EXAMPLES)(animate.animate)
app.command(epilog=preprocess.EXAMPLES)(preprocess.preprocess)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=distill.EXAMPLES)(distill.distill)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=danceset.EXAMPLES)(danceset.danceset)
app.add_typer(models, name="models")
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.command(epilog=bench.EXAMPLES)(bench.bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_result({"dancelcm": __version__})
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Make a still photo dance: a picture and a driving video in, an mp4 out, in 1 to 8 steps.

    [bold]animate[/bold] works at once, with the bundled model. The others make a model of
    your own: [bold]preprocess[/bold] videos into shards, [bold]train[/bold] a teacher on them,
    [bold]distill[/bold] it into a few-step student, [bold]evaluate[/bold] what that makes.
    """


def main(command: Callable[[], object] = app) -> None:
    """Run `command` and leave the process with its exit code.

    Exit codes: 0 done, 2 the user can fix it, 3 weights missing, 4 out of memory, 5 part of a batch
    failed, 130 interrupted. Only an error that nobody foresaw, or DANCELCM_DEBUG=1, shows a
    traceback.
    """
    debugging = os.environ.get(DEBUG_VARIABLE) == "1"
    if not debugging:
        warnings.simplefilter("ignore")
    interruption = Interruption()
    try:
        with sigterm_as_ctrl_c() as interruption:
            command()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        known = _as_user_error(error, interruption.came)
        if debugging or known is None:
            raise
        told_by_first = isinstance(known, InterruptedRunError) and os.environ.get(RANK, "0") != "0"
        if not told_by_first:  # all processes of a run stop together
            print_error(known.message, known.hint or _how_to_go_on(known))
        sys.exit(known.exit_code)


def _how_to_go_on(error: DanceLCMError) -> str:
    """Return the hint for an interruption that has none: the same command goes on."""
    return f"Go on with: {typed_command()}" if isinstance(error, InterruptedRunError) else ""


def _as_user_error(error: BaseException, interrupted: bool) -> DanceLCMError | None:
    if isinstance(error, InterruptedRunError):
        return error
    if isinstance(error, SystemExit):  # typer's, which keeps Ctrl-C for itself
        interrupted = error.code == InterruptedRunError.exit_code
    if interrupted or isinstance(error, KeyboardInterrupt):
        return InterruptedRunError("Interrupted; what is finished is kept.")
    if isinstance(error, DanceLCMError):
        return error
    if isinstance(error, OSError) and (error.filename or error.errno in WITHOUT_A_FILE):
        return refused_by_system(error)
    if type(error).__name__ == "BrokenProcessPool":  # its import would take as long as all others
        return OutOfMemoryError(
            "A worker process was killed: memory may have run out.",
            hint=f"Close other programs, or take a smaller recipe; then {SAME_AGAIN}",
        )
    if ran_out_of_memory(error):
        return OutOfMemoryError("Memory ran out.", SMALLER)
    return None
