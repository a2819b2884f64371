"""A model folder becomes a file that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from accelerate import init_empty_weights
from safetensors.torch import save_file
from torch import Tensor

from dancelcm_cli.core.misfits import list_misfits, refuse_misfits, shapes_of
from dancelcm_cli.core.model_folder import read_config, read_index
from dancelcm_cli.core.teacher_keys import to_upstream, upstream_keys
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.atomic import atomic_path, refuse_full_disk
from dancelcm_cli.data.tensor_files import read_folder_tensors
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.folder import making
from dancelcm_cli.models.lora import read_lora_folder, write_lora

Format = Literal["upstream", "lora"]
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "upstream": (".safetensors", ".pth"),
    "lora": (".safetensors",),
}


def export(folder: Path, format: Format, output: Path) -> list[str]:
    """Write the network of a model folder as one file.

    Args:
        folder: the model folder.
        format: `upstream`: all of the network under UniAnimate's names, as a pickle where the name
            ends in `.pth`, which UniAnimate's own code reads; `lora`: what a LoRA student adds to
            its teacher.
        output: the file to write.

    Returns:
        The names of the network's tensors that the format has no place for.

    Raises:
        InputError: the folder has no such network, or `output` exists or has another suffix.
    """
    if output.suffix not in SUFFIXES[format]:
        raise InputError(
            f"The file to export to must end in {' or '.join(SUFFIXES[format])}, got {output}.",
            hint=f"Type for example --output {output.with_suffix(SUFFIXES[format][0])}",
        )
    with making(output):
        return _write(folder, format, output)


def _write(folder: Path, format: Format, output: Path) -> list[str]:
    if format == "lora":
        write_lora(read_lora_folder(folder), output)
        return []
    tensors, left_out = _upstream(folder)
    with atomic_path(output) as temporary:
        if output.suffix == ".pth":
            try:
                with temporary.open("wb") as file:  # in which torch does not write the file's name
                    torch.save(tensors, file)
            except RuntimeError:  # which does not say why
                refuse_full_disk(temporary)
                raise
        else:
            save_file(tensors, temporary, metadata={"format": "pt"})
    return left_out


def _upstream(folder: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Return the network's tensors under upstream's names, and the names of those that have none.

    The embedding of the empty prompt is not missed: upstream computes it anew.
    """
    read_index(folder)
    config = read_config(folder / "unet" / "config.json")
    if config.get("image_tokens") != "clip":
        raise InputError(
            f"{folder} must hold a network of UniAnimate's kind, whose image tokens are clip, "
            f"got {config.get('image_tokens')}.",
            hint="Networks of the tiny recipe have tokens of their own, which UniAnimate lacks.",
        )
    with init_empty_weights():
        unet = DanceUNet.from_config(config)
    tensors = read_folder_tensors(folder / "unet")
    refuse_misfits(
        f"{folder / 'unet'} does not fit its config",
        list_misfits(shapes_of(unet.state_dict()), shapes_of(tensors)),
        hint="Copy the model again, or see `dancelcm models verify`.",
    )
    kept = upstream_keys(unet).keys() | {"text_embedding"}
    return to_upstream(unet, tensors), sorted(tensors.keys() - kept)
