"""Checkpoints of a run: safetensors files and one JSON, in a folder that is whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dancelcm_cli.data.atomic import atomic_folder, write_json_atomic
from dancelcm_cli.errors import InputError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps: named groups of named tensors, and plain numbers."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    numbers: Mapping[str, float]


def save_checkpoint(run: Path, checkpoint: Checkpoint, keep: int) -> None:
    """Write `run/checkpoints/step-<n>` and remove all but the newest `keep` checkpoints."""
    folder = run / "checkpoints" / f"step-{checkpoint.step:06d}"
    with atomic_folder(folder) as temporary:
        for group, tensors in checkpoint.tensors.items():
            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, temporary / f"{group}.safetensors")
        write_json_atomic(
            temporary / "state.json",
            {
                "format_version": FORMAT_VERSION,
                "step": checkpoint.step,
                "numbers": dict(checkpoint.numbers),
                "groups": list(checkpoint.tensors),
            },
        )
    for old in list_checkpoints(run)[:-keep]:
        shutil.rmtree(old)


def list_checkpoints(run: Path) -> list[Path]:
    """Return the checkpoint folders of `run`, oldest first."""
    folders = (run / "checkpoints").glob("step-*")
    return sorted(folders, key=lambda folder: (len(folder.name), folder.name))  # by number


def load_latest_checkpoint(run: Path) -> Checkpoint | None:
    """Return the newest checkpoint of `run`, or None where there is none yet.

    Raises:
        InputError: the checkpoint is damaged or of another format version.
    """
    folders = list_checkpoints(run)
    if not folders:
        return None
    folder = folders[-1]
    try:
        state = json.loads((folder / "state.json").read_text())
        if state["format_version"] != FORMAT_VERSION:
            raise InputError(
                f"The format version of {folder} must be {FORMAT_VERSION}, "
                f"got {state['format_version']}.",
                hint="Resume with the dancelcm version that wrote it.",
            )
        tensors = {group: load_file(folder / f"{group}.safetensors") for group in state["groups"]}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{folder} must be a checkpoint, but it is damaged ({error}).",
            hint="Remove that folder to resume from the checkpoint before it.",
        ) from error
    return Checkpoint(state["step"], tensors, state["numbers"])
