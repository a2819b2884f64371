"""Checkpoints of a run: safetensors files and one JSON, in a folder that is whole or not there.

checkpoints/step-000300/    state.json, and one .safetensors per group of tensors
checkpoints/best.json       which of them validation liked best, and why
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from dancelcm_cli.data.atomic import atomic_folder, write_json_atomic
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import read_json, require_plain_file

FORMAT_VERSION = 1
BEST = "best/"  # begins the names of numbers that are about the best checkpoint
GROUP = re.compile(r"\w+")
# What JSON, the records above and safetensors raise where a file is damaged.
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError)
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
            kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(kept, temporary / f"{group}.safetensors")
        write_json_atomic(
            temporary / "state.json",
            {
                "format_version": FORMAT_VERSION,
                "step": checkpoint.step,
                "numbers": dict(checkpoint.numbers),
                "groups": list(checkpoint.tensors),
            },
        )


def with_best(checkpoint: Checkpoint, best: BestCheckpoint) -> Checkpoint:
    """Return `checkpoint` with a note of the best so far, as a kill may come before `mark_best`."""
    figures = {name: value for name, value in best.figures.items() if math.isfinite(value)}
    noted = {f"{BEST}{name}": value for name, value in {**figures, "step": best.step}.items()}
    return replace(checkpoint, numbers={**checkpoint.numbers, **noted})


def recall_best(run: Path, checkpoint: Checkpoint | None) -> BestCheckpoint:
    """Return the best checkpoint up to `checkpoint`, marked again if `with_best` noted it there."""
    if checkpoint is None:
        return BestCheckpoint()
    numbers = checkpoint.numbers.items()
    noted = {name.removeprefix(BEST): v for name, v in numbers if name.startswith(BEST)}
    step = int(noted.pop("step", 0))
    if step:
        mark_best(run, BestCheckpoint(step, noted))
    return load_best(run, until=checkpoint.step)


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
    try:
        best = BestCheckpoint(**read_json(record))
        _check_numbers(best.step, best.figures)
        require_plain_file(_average(run, best.step), "the averaged weights")
        with safe_open(_average(run, best.step), "pt"):
            return best if best.step <= until else BestCheckpoint()
    except (InputError, *DAMAGE):
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
        except DAMAGE as error:
            note(f"{folder} is damaged and left out: {error}")
    if folders:
        raise InputError(
            f"{run} must have a checkpoint to resume from, but all of them are damaged.",
            hint="Start a new run in another folder.",
        )
    return None


def latest_shapes(run: Path) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of the network's weights in the newest checkpoint that can be opened.

    None stands for no checkpoint. The weights themselves are not read.
    """
    for folder in reversed(list_checkpoints(run)):
        path = folder / "network.safetensors"
        with suppress(InputError, *DAMAGE):
            require_plain_file(path, "a group of tensors")
            with safe_open(path, "pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - a handle is no dict
    return None


def load_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint in `folder`.

    Raises:
        InputError: it is of another format version.
        OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError: it is damaged.
    """
    state = read_json(folder / "state.json")
    if state["format_version"] != FORMAT_VERSION:
        raise InputError(
            f"The format version of {folder} must be {FORMAT_VERSION}, "
            f"got {state['format_version']}.",
            hint="Resume with the dancelcm version that wrote it.",
        )
    _check_numbers(state["step"], state["numbers"])
    if not all(GROUP.fullmatch(group) for group in state["groups"]):
        raise ValueError(f"{state['groups']} are no groups of tensors")
    tensors = {group: _load_tensors(folder / f"{group}.safetensors") for group in state["groups"]}
    return Checkpoint(state["step"], tensors, state["numbers"])


def _load_tensors(path: Path) -> Tensors:
    if path.exists():
        require_plain_file(path, "a group of tensors")
    return load_file(path)


def _check_numbers(step: object, numbers: Mapping[str, object]) -> None:
    if type(step) is not int or step < 0:
        raise ValueError(f"{step!r} is no step")
    if not all(type(number) in (int, float) for number in numbers.values()):
        raise ValueError(f"{numbers} are no numbers")


def load_average(run: Path, step: int) -> Tensors:
    """Return the averaged weights of the checkpoint of `step`."""
    return _load_tensors(_average(run, step))


def _average(run: Path, step: int) -> Path:
    return _folder(run, step) / "average.safetensors"


def _folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:06d}"
