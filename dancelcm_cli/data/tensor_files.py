"""Files of tensors, whoever wrote them: by name, mapped into memory and not loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from dancelcm_cli.data.pickles import read_pickled_tensors
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import read_json, require_plain_file

# What the libraries call the weights in a folder: diffusers, transformers, peft.
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model", "adapter_model")
# What safetensors raises for a damaged file, and PyTorch for a type that it does not have.
DAMAGE = (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError)
SUFFIXES = (".safetensors", ".safetensors.index.json", ".bin")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or of a pickled checkpoint, by name.

    Raises:
        InputError: there is no such file, it is damaged, or it would import foreign code.
    """
    if not path.is_file():
        raise InputError(
            f"{path} must be a file of weights, but there is none.",
            hint="Check the path; `dancelcm models list` names what can be fetched.",
        )
    if path.suffix != ".safetensors":
        return read_pickled_tensors(path)
    try:
        return load_file(path)
    except DAMAGE as error:
        raise _damaged(path, error) from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, empty where it has none.

    Raises:
        InputError: the file is damaged.
    """
    require_plain_file(path, "a file of weights")
    try:
        with cast("Any", safe_open(path, framework="pt")) as file:
            return dict(file.metadata() or {})
    except DAMAGE as error:
        raise _damaged(path, error) from error


def read_folder_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder that diffusers, transformers or peft wrote, in shards or not.

    Raises:
        InputError: the folder holds no weights, or damaged ones.
    """
    files = tensor_files(folder)
    return {name: tensor for file in files for name, tensor in read_tensors(file).items()}


def tensor_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights of `folder`, safetensors before pickles.

    Raises:
        InputError: there are none.
    """
    for suffix in SUFFIXES:
        for stem in STEMS:
            file = folder / f"{stem}{suffix}"
            if file.is_file():
                return _shards(file) if suffix.endswith(".json") else [file]
    raise InputError(
        f"{folder} must be a folder with weights, such as {STEMS[0]}.safetensors, but has none.",
        hint="Give the folder that diffusers or transformers wrote.",
    )


def _shards(index: Path) -> list[Path]:
    try:
        names = set(read_json(index)["weight_map"].values())
        return [index.with_name(name) for name in sorted(names)]
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise _damaged(index, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({error}).", hint="Copy or fetch it again.")
