"""Whether a model folder is whole: what it holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from diffusers import AutoencoderKL
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from dancelcm_cli.core.misfits import list_misfits, shapes_of
from dancelcm_cli.core.model_folder import read_config, read_index
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.tensor_files import read_folder_tensors
from dancelcm_cli.data.weight_files import file_sha256
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.folder import SCHEDULERS
from dancelcm_cli.progress import Progress

KINDS = {kind.__name__: kind for kind in (DanceUNet, PatchAutoencoder, AutoencoderKL)}
ADAPTERS = "lora"  # the folder of a LoRA student's adapters, which no index names
PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}


@dataclass(frozen=True)
class FolderFile:
    """One file of a model folder: its name in it, its size in bytes, its hash."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Verdict:
    """What a model folder holds: files, parameters by part, and what is wrong, in sentences."""

    folder: Path
    files: tuple[FolderFile, ...]
    parameters: Mapping[str, int]
    problems: tuple[str, ...]


def verify_folder(folder: Path, progress: Progress) -> Verdict:
    """Look at every number of a model folder without loading it.

    Each part must have the tensors that its config asks for, in their shapes, and all of them
    finite: then it loads.

    Raises:
        InputError: it is no model folder, or of another format version.
    """
    index = read_index(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    problems = [
        f"{path.relative_to(folder)} is a pickle, but a model folder holds safetensors alone."
        for path in paths
        if path.suffix in PICKLES
    ]
    parameters = {}
    kinds = {name: kind[1] for name, kind in index.items() if isinstance(kind, list) and kind[1]}
    if (folder / ADAPTERS).is_dir():
        kinds[ADAPTERS] = ADAPTERS
    for part, kind in progress.track(kinds.items(), f"Reading {folder.name}"):
        try:
            if kind in SCHEDULERS:
                read_config(folder / part / "scheduler_config.json")
                continue
            parameters[part], found = _part(folder / part, kind)
            problems += [f"{part}: {problem}" for problem in found]
        except InputError as error:
            problems.append(error.message)
    files = [
        FolderFile(path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path))
        for path in progress.track(paths, f"Hashing {folder.name}")
    ]
    return Verdict(folder, tuple(files), parameters, tuple(problems))


def _part(folder: Path, kind: str) -> tuple[int, list[str]]:
    """Return how many numbers a part has learnt, and what is wrong with its tensors."""
    tensors = read_folder_tensors(folder)
    infinite = [f"not finite {name}" for name, t in tensors.items() if not t.isfinite().all()]
    if kind == ADAPTERS:
        return sum(tensor.numel() for tensor in tensors.values()), infinite
    network = _unfilled(folder, kind)
    misfits = list_misfits(shapes_of(network.state_dict()), shapes_of(tensors))
    return sum(parameter.numel() for parameter in network.parameters()), misfits + infinite


def _unfilled(folder: Path, kind: str) -> Any:
    """Build the network that the config in `folder` describes, without weights.

    Raises:
        InputError: nothing can be built of it.
    """
    config = read_config(folder / "config.json")
    try:
        with init_empty_weights():
            if kind == CLIPVisionModelWithProjection.__name__:
                return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config))
            return KINDS[kind].from_config(config)
    except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{folder / 'config.json'} makes no {kind} ({error}).") from error
