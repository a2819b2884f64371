"""The folder of a run: what it was started with, and who may write into it."""

from __future__ import annotations

import os
import platform
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch

from dancelcm_cli import __version__
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.data.atomic import remove_temporaries, write_json_atomic, write_text_atomic
from dancelcm_cli.data.claim import claimed
from dancelcm_cli.errors import (
    DISK_FULL,
    ConfigError,
    InputError,
    InterruptedRunError,
    refused_by_system,
)
from dancelcm_cli.plain_files import read_json, refuse_links

COMMANDS = ("train", "distill")
RECORD = "run.json"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class RunInputs:
    """What a run reads: a resumed run reads the same again."""

    command: str  # one of `COMMANDS`
    shards: Path
    model: Path | None
    student: Path | None = None  # where the second phase of a distillation starts


@contextmanager
def open_run(
    output: Path, inputs: RunInputs, processes: Processes = ALONE, *, resume: bool
) -> Iterator[RunInputs]:
    """Claim the run folder `output` and yield the inputs to use: a resumed run's are its own.

    The first process does so for all. Nothing is written down yet: see `noted_run`.

    Raises:
        InputError: the folder holds a run already, none (of this command) to resume, or is in use.
    """
    if not processes.first:
        yield processes.gather(inputs)[0]
        return
    if resume and not (output / RECORD).is_file():
        raise InputError(
            f"{output} must hold a run to resume, but it has no run.json.",
            hint="Name the folder of the interrupted run, such as runs/train-20250101-120000; one"
            " that was stopped before it began is started by the same command again.",
        )
    if output.is_dir():
        refuse_links(output)
    with claimed(output):
        if resume:
            inputs = _read_inputs(output / RECORD, inputs.command)
        else:
            _require_free(output, inputs.command)
        for folder in (output, output / CHECKPOINTS, output / "samples"):
            remove_temporaries(folder)
        yield processes.gather(inputs)[0]


def _require_free(output: Path, command: str) -> None:
    if (output / RECORD).exists():
        raise InputError(
            f"{output} must not hold a run already.",
            hint=f"Continue it with: {resume_command(command, output)}",
        )
    if (output / CHECKPOINTS).exists():
        raise InputError(
            f"{output} must not hold the checkpoints of another run.",
            hint="Choose another --output, or remove that folder.",
        )


@contextmanager
def noted_run(
    output: Path,
    inputs: RunInputs,
    recipe: Recipe,
    processes: Processes = ALONE,
    *,
    resume: bool,
) -> Iterator[None]:
    """Write `recipe.toml`, `run.json` and `environment.json`: from here on the run can be resumed.

    What ended before is done by the same command again. Within, an interruption and a full disk are
    told with the command that resumes the run; a new run that is refused before its first
    checkpoint is forgotten, so that a corrected start finds the folder free.

    Raises:
        InputError: the disk is full.
        InterruptedRunError: Ctrl-C or SIGTERM, where the loop does not wait for them.
    """
    if not processes.first:
        yield
        return
    write_text_atomic(output / "recipe.toml", recipe_to_toml(recipe))
    write_json_atomic(output / "environment.json", _environment())
    write_json_atomic(output / RECORD, _as_json(inputs))
    go_on = resume_command(inputs.command, output)
    try:
        yield
    except (InputError, ConfigError):
        if not resume and not (output / CHECKPOINTS).exists():
            (output / RECORD).unlink(missing_ok=True)
        raise
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "Interrupted between two steps; the checkpoints are intact.", f"Continue with: {go_on}"
        ) from None
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        hint = f"Free some space there; the checkpoints are intact. Then type: {go_on}"
        raise refused_by_system(error, hint) from error


def resume_command(command: str, output: Path) -> str:
    """Return what a user types to continue the run in `output`."""
    return f"dancelcm {command} --resume {shlex.quote(str(output))}"


def _as_json(inputs: RunInputs) -> dict[str, object]:
    return {
        "command": inputs.command,
        "shards": str(inputs.shards.absolute()),
        "model": _absolute(inputs.model),
        "student": _absolute(inputs.student),
    }


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _read_inputs(record: Path, command: str) -> RunInputs:
    """Return what the run read before, if it was made by `command`."""
    try:
        stored = read_json(record)
        shards, *models = (_path(stored[key]) for key in ("shards", "model", "student"))
        if shards is None or stored["command"] not in COMMANDS:
            raise ValueError(f"{stored['command']!r} of {stored['shards']!r}")
    except (OSError, ValueError, LookupError) as error:
        raise InputError(
            f"{record} must tell what the run reads, but it is damaged: {error}.",
            hint="Start a new run in another folder.",
        ) from error
    if stored["command"] != command:
        raise InputError(
            f"{record.parent} must be a run of `dancelcm {command}`, "
            f"got one of `dancelcm {stored['command']}`.",
            hint=f"Continue it with: {resume_command(stored['command'], record.parent)}",
        )
    return RunInputs(command, shards, *models)


def _path(text: object) -> Path | None:
    if text is not None and (not isinstance(text, str) or not text or "\0" in text):
        raise ValueError(f"{text!r} is no path")
    return None if text is None else Path(text)


def _environment() -> dict[str, object]:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "dancelcm": __version__,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "gpus": gpus,
    }
