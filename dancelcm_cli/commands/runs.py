"""What the commands that write a run folder share: where it is, how it resumes, what is shown."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dancelcm_cli.console import print_result
from dancelcm_cli.errors import ConfigError, InputError

if TYPE_CHECKING:
    from dancelcm_cli.training.rehearsal import Rehearsal
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

DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Train a few steps, say what the whole run would take, and leave nothing behind.",
    ),
]
TensorboardOption = Annotated[
    bool,
    typer.Option(
        "--tensorboard",
        help="Write the figures and samples for TensorBoard as well, into RUN/tensorboard.",
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


def refuse_resumed_rehearsal(resume: Path | None) -> None:
    """Refuse --dry-run beside --resume."""
    if resume is not None:
        raise ConfigError(
            f"--dry-run must be left out with --resume, got {resume}.",
            hint="It tells what a new run would take.",
        )


def print_rehearsal(rehearsal: Rehearsal | None) -> None:
    """Print what a run would take; nothing in a process that was not told."""
    if rehearsal is None:
        return
    loss, memory = rehearsal.loss, rehearsal.peak_memory
    checkpoint, kept = rehearsal.checkpoint_size, rehearsal.kept_checkpoints
    print_result(
        {
            "device": rehearsal.device,
            "trainable parameters": f"{rehearsal.trainable_parameters:,}",
            "loss": "not finite" if loss is None else f"{loss:.4g}",
            "peak memory": "unknown" if memory is None else _size(memory),
            "seconds per step": f"{rehearsal.step_seconds:.3g}",
            "seconds per validation": f"{rehearsal.validation_seconds:.3g}",
            "whole run": f"{timedelta(seconds=round(rehearsal.seconds))} for "
            f"{rehearsal.steps} steps and {rehearsal.validations} validations",
            "checkpoint": f"{_size(checkpoint)}, of which {kept} are kept",
            "needed on the disk": _size(rehearsal.needed_size),
            "free on the disk": f"{_size(rehearsal.free_size)} in {rehearsal.disk}",
        }
    )


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.2f} GiB"


def print_run(summary: RunSummary) -> None:
    """Print what a finished run made; of many processes the first does."""
    if not summary.processes.first:
        return
    print_result(
        {
            "run": summary.output,
            "steps": summary.steps,
            "model": f"of step {summary.model_step}, the best by validation",
            "seconds": f"{summary.seconds:.1f}",
            **{name: f"{value:.4g}" for name, value in summary.metrics.items()},
        }
    )
