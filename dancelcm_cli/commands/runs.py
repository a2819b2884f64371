"""What the commands that write a run folder share: where it is, how it resumes, what is shown."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dancelcm_cli.console import print_result
from dancelcm_cli.errors import ConfigError, InputError

if TYPE_CHECKING:
    from dancelcm_cli.training.runs import RunSummary

ShardsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SHARDS",
        help="Shard folder that `dancelcm preprocess` wrote; a resumed run keeps its own.",
    ),
]
RunOutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Run folder to make.", show_default="runs/<command>-<time>"
    ),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN", help="Continue this run from its last checkpoint, with its own recipe."
    ),
]


def run_recipe(recipe: str | None, resume: Path | None) -> str | Path | None:
    """Return which recipe a run starts from: the given one, else that of the run to resume."""
    if recipe is not None or resume is None:
        return recipe
    if not (resume / "recipe.toml").is_file():
        raise InputError(
            f"--resume must be a run folder with a recipe.toml, got {resume}.",
            hint="Name the folder of the interrupted run, such as runs/train-20250101-120000.",
        )
    return resume / "recipe.toml"


def run_folder(command: str, output: Path | None, resume: Path | None) -> Path:
    """Return the folder of the run to resume, or else of a new one."""
    if output is not None and resume is not None:
        raise ConfigError(
            f"--output must be left out with --resume, got {output} and {resume}.",
            hint="A resumed run continues in its own folder.",
        )
    return resume or output or Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"


def print_run(summary: RunSummary) -> None:
    """Print what a finished run made."""
    print_result(
        {
            "run": summary.output,
            "steps": summary.steps,
            "seconds": f"{summary.seconds:.1f}",
            **{name: f"{value:.4g}" for name, value in summary.metrics.items()},
        }
    )
