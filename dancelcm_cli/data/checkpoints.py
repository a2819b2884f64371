"""Checkpoints of a run: safetensors files and one JSON, in a folder that is whole or not there.

checkpoints/step-000300/    state.json, and one .safetensors per group of tensors
checkpoints/best.json       which of them validation liked best, and why
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from dancelcm_cli.data.atomic import atomic_folder, write_json_atomic
from dancelcm_cli.errors import InputError

FORMAT_VERSION = 1
SYSTEM_ERROR = re.compile(r"os error (\d+)")  # safetensors tells of it in words alone
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps: named groups of named tensors, and plain numbers."""

    step: int
    tensors: Mapping[str, Tensors]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class BestCheckpoint:
    """The step whose validation was the best so far, and its figures; step 0 before the first."""

    step: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write `run/checkpoints/step-<n>`.

    Raises:
        OSError: the disk refused; the checkpoints before it are as they were.
    """
    with atomic_folder(_folder(run, checkpoint.step)) as temporary:
        for group, tensors in checkpoint.tensors.items():
            _save_tensors(tensors, temporary / f"{group}.safetensors")
        write_json_atomic(
            temporary / "state.json",
            {
                "format_version": FORMAT_VERSION,
                "step": checkpoint.step,
                "numbers": dict(checkpoint.numbers),
                "groups": list(checkpoint.tensors),
            },
        )


def mark_best(run: Path, best: BestCheckpoint) -> None:
    """Note which checkpoint is the best: `remove_old_checkpoints` will keep it."""
    write_json_atomic(run / "checkpoints" / "best.json", asdict(best))


def load_best(run: Path, until: int) -> BestCheckpoint:
    """Return the best checkpoint of `run` up to step `until`, if it is there and whole.

    A later one is of a run that went back since, and will find it again.
    """
    record = run / "checkpoints" / "best.json"
    if not record.is_file():
        return BestCheckpoint()
    best = BestCheckpoint(**json.loads(record.read_text()))
    try:
        with safe_open(_average(run, best.step), "pt"):
            return best if best.step <= until else BestCheckpoint()
    except (OSError, SafetensorError):
        return BestCheckpoint()


def remove_old_checkpoints(run: Path, newest: int, keep: int) -> None:
    """Keep the best checkpoint and the last `keep` of those up to step `newest`."""
    folders = list_checkpoints(run)
    last = folders.index(_folder(run, newest))
    kept = {*folders[: last + 1][-keep:], _folder(run, load_best(run, until=newest).step)}
    for folder in folders:
        if folder not in kept:
            shutil.rmtree(folder)


def list_checkpoints(run: Path) -> list[Path]:
    """Return the checkpoint folders of `run`, oldest first."""
    folders = (run / "checkpoints").glob("step-*")
    return sorted(folders, key=lambda folder: (len(folder.name), folder.name))  # by number


def load_latest_checkpoint(run: Path, note: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint of `run` that can be read, or None where there is none yet.

    `note` is told of each that is damaged.

    Raises:
        InputError: all are damaged, or the newest one is of another format version.
    """
    folders = list_checkpoints(run)
    for folder in reversed(folders):
        try:
            return load_checkpoint(folder)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            note(f"{folder} is damaged and left out: {error}")
    if folders:
        raise InputError(
            f"{run} must have a checkpoint to resume from, but all of them are damaged.",
            hint="Start a new run in another folder.",
        )
    return None


def load_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint in `folder`.

    Raises:
        InputError: it is of another format version.
        OSError, ValueError, KeyError, SafetensorError: it is damaged.
    """
    state = json.loads((folder / "state.json").read_text())
    if state["format_version"] != FORMAT_VERSION:
        raise InputError(
            f"The format version of {folder} must be {FORMAT_VERSION}, "
            f"got {state['format_version']}.",
            hint="Resume with the dancelcm version that wrote it.",
        )
    tensors = {group: load_file(folder / f"{group}.safetensors") for group in state["groups"]}
    return Checkpoint(state["step"], tensors, state["numbers"])


def load_average(run: Path, step: int) -> Tensors:
    """Return the averaged weights of the checkpoint of `step`."""
    return load_file(_average(run, step))


def _save_tensors(tensors: Tensors, path: Path) -> None:
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        system = SYSTEM_ERROR.search(str(error))
        if system is None:
            raise
        raise OSError(int(system[1]), os.strerror(int(system[1])), str(path)) from error


def _average(run: Path, step: int) -> Path:
    return _folder(run, step) / "average.safetensors"


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:06d}"
