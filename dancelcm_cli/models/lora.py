"""A LoRA student as one file: written from its model folder, and made one again on its teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from safetensors.torch import save_file

from dancelcm_cli.config.model_recipe import model_recipe, write_model_recipe
from dancelcm_cli.config.schema import FaceTokens
from dancelcm_cli.core.lora import merge_adapters, save_adapters
from dancelcm_cli.core.lora_student import (
    LoraStudent,
    adapted_layers,
    add_lora_student,
    fingerprint,
)
from dancelcm_cli.core.model_folder import load_pipeline, read_config, read_index
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import FACE_PREFIX
from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.tensor_files import read_folder_tensors, read_metadata, read_tensors
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.folder import SCHEDULERS, Converted, new_folder, save
from dancelcm_cli.plain_files import parse_json
from dancelcm_cli.progress import Progress

FORMAT_VERSION = 1
METADATA = "dancelcm_lora"  # one key alone: safetensors writes several in no fixed order
MOST = 65_536  # rank and alpha
PREFIX = "unet."  # as in the LoRA files of diffusers
TENSORS = ("adapters", "face_tensors")


def is_lora_file(path: Path) -> bool:
    """Tell whether `path` is what `write_lora` writes."""
    return path.suffix == ".safetensors" and path.is_file() and METADATA in read_metadata(path)


def read_lora_folder(folder: Path) -> LoraStudent:
    """Read what the model folder of a LoRA student keeps of it apart from its teacher.

    Raises:
        InputError: the folder is no model folder, or not that of a LoRA student.
    """
    index = read_index(folder)
    if not (folder / "lora").is_dir():
        raise InputError(
            f"{folder} must be the model of a LoRA student, but it has no lora folder.",
            hint="Distill one by --set distill.tuning=lora, or export --format upstream.",
        )
    adapters = {
        name.removeprefix("base_model.model."): tensor
        for name, tensor in read_folder_tensors(folder / "lora").items()
    }
    tensors = read_folder_tensors(folder / "unet")
    config = read_config(folder / "lora" / "adapter_config.json")
    network = read_config(folder / "unet" / "config.json")
    try:
        return LoraStudent(
            adapters=adapters,
            rank=config["r"],
            alpha=config["lora_alpha"],
            face_tensors={n: tensor for n, tensor in tensors.items() if n.startswith(FACE_PREFIX)},
            face_tokens=network["face_tokens"],
            teacher=fingerprint(tensors, adapted_layers(adapters)),
            settings=_settings(index),
            scheduler=read_config(folder / "scheduler" / "scheduler_config.json"),
        )
    except KeyError as error:
        raise _damaged(folder) from error


def write_lora(student: LoraStudent, file: Path) -> None:
    """Write `student` as one safetensors file, whole or not at all."""
    facts = {
        field.name: getattr(student, field.name)
        for field in fields(student)
        if field.name not in TENSORS
    }
    metadata = {METADATA: json.dumps({"format_version": FORMAT_VERSION, **facts})}
    tensors = {**student.adapters, **student.face_tensors}
    named = {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_path(file) as temporary:
        save_file(named, temporary, metadata=metadata)


def read_lora(file: Path) -> LoraStudent:
    """Read what `write_lora` wrote.

    Raises:
        InputError: the file is damaged or of another format version.
    """
    try:
        facts: dict[str, Any] = parse_json(read_metadata(file)[METADATA])
        version = facts.pop("format_version")
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise _damaged(file) from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"The format version of {file} must be {FORMAT_VERSION}, got {version}.",
            hint="Use the dancelcm version that wrote it.",
        )
    tensors = {n.removeprefix(PREFIX): tensor for n, tensor in read_tensors(file).items()}
    face = {name: tensor for name, tensor in tensors.items() if name.startswith(FACE_PREFIX)}
    adapters = {name: tensor for name, tensor in tensors.items() if name not in face}
    try:
        student = LoraStudent(adapters=adapters, face_tensors=face, **facts)
    except TypeError as error:
        raise _damaged(file) from error
    if not _fits(student):
        raise _damaged(file)
    return student


def convert_lora(file: Path, teacher: Path, output: Path, progress: Progress) -> Converted:
    """Write the model folder of the student that `file` makes of `teacher`.

    Its adapters are kept in `lora/`, as the run that trained them kept them.

    Raises:
        InputError: the file is damaged or made for another teacher, or `output` exists.
    """
    with new_folder(output) as temporary, progress.task("Converting", total=3) as advance:
        advance(0, teacher.name)
        student, base = read_lora(file), load_pipeline(teacher)
        advance(1, file.name)
        unet = base.unet
        add_lora_student(unet, student)
        save_adapters(unet, temporary / "lora")
        merge_adapters(unet)
        advance(1, output.name)
        pipeline = _pipeline(base, student, file)
        parameters = save(pipeline, temporary)
        recipe = model_recipe(teacher)
        if recipe is not None:
            write_model_recipe(temporary, recipe.read_text(encoding="utf-8"))
        advance(1, "")
    return Converted(output, parameters)


def _pipeline(base: DancePipeline, student: LoraStudent, file: Path) -> DancePipeline:
    """Return the parts of `base` with the student's settings and scheduler."""
    try:
        scheduler = SCHEDULERS[student.scheduler["_class_name"]].from_config(student.scheduler)
        return DancePipeline(base.unet, base.vae, scheduler, base.image_encoder, **student.settings)
    except (LookupError, TypeError) as error:
        raise _damaged(file) from error


def _fits(student: LoraStudent) -> bool:
    """Whether the facts are of the kinds that `LoraStudent` says."""
    return (
        all(type(number) is int and 0 < number <= MOST for number in (student.rank, student.alpha))
        and isinstance(student.teacher, str)
        and student.face_tokens in get_args(FaceTokens)
        and isinstance(student.settings, dict)
        and isinstance(student.scheduler, dict)
    )


def _settings(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the index of a model folder says besides its parts and versions."""
    return {
        name: value
        for name, value in index.items()
        if not isinstance(value, list) and not name.startswith("_") and name != "format_version"
    }


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged.", hint="Export or distill the student again.")
