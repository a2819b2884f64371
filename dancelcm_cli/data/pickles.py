"""Other people's pickled checkpoints, read without running anything of theirs.

A pickle is a program: it may import and call whatever it names. Two walls stand around it. First
its instructions are listed, not run, and a file that names anything outside the allow-list is
refused by that name. Then PyTorch's reader for weights alone takes it, which knows no other names
either. The one exception are classes that published checkpoints are known to hold beside their
weights: in their place comes `Ignored`, which does nothing.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from dancelcm_cli.errors import InputError

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
TENSOR_NAMES = frozenset(
    {
        "collections.OrderedDict",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "_codecs.encode",  # how bytes are written
        "builtins.set",
        *(f"torch.{kind}Storage" for kind in STORAGES),
    }
)
# Files from before PyTorch 1.6 are five pickles and raw numbers; this number is the first of them.
OLD_MAGIC, OLD_PICKLES = 0x1950A86A20F9469CFC6C, 5
IGNORED_NAMES = frozenset(  # what Lightning keeps beside the weights, as in SD 2.1's checkpoint
    {
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
    }
)


TORCHSCRIPT = ("code/", "constants.pkl")  # what its archives have and checkpoints have not


class Ignored:
    """Stands where an ignored class would: takes any arguments and any state, and keeps nothing."""

    def __new__(cls, *arguments: object) -> Ignored:
        """Make one of any `arguments`."""
        return super().__new__(cls)

    def __init__(self, *arguments: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def read_pickled_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a PyTorch checkpoint, or of the `state_dict` in it, by name.

    They are mapped, not loaded (but for files from before PyTorch 1.6): a tensor costs memory once
    it is touched, and gives it back.

    Raises:
        InputError: the file would import foreign code, is damaged, or holds no tensors.
    """
    refuse_foreign_code(path)
    placeholders: list[Any] = [(Ignored, name) for name in IGNORED_NAMES]
    try:
        with torch.serialization.safe_globals(placeholders):
            mapped = zipfile.is_zipfile(path)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged file may say anything to PyTorch's reader
        raise _damaged(path, _first_line(error)) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise _damaged(path, f"it holds one {type(content).__name__}")
    tensors = {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    if not tensors:
        raise _damaged(path, "it holds no tensors")
    return tensors


def refuse_foreign_code(path: Path) -> None:
    """List what a pickle would import, running nothing.

    Raises:
        InputError: a name outside the allow-list is among it, or the file is no PyTorch checkpoint.
    """
    try:
        if not zipfile.is_zipfile(path):
            _refuse_old_foreign_code(path)
            return
        with zipfile.ZipFile(path) as archive:
            _refuse_program(path, archive)
            for member in archive.infolist():
                if member.filename.endswith(".pkl"):
                    with archive.open(member) as file:
                        _refuse_foreign_names(path, file)
    except InputError:
        raise
    except Exception as error:  # zipfile's and pickletools', of many classes
        raise _damaged(path, _first_line(error)) from error


def _refuse_program(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse TorchScript, which is code beside weights, and an archive that unpacks to more."""
    names = [member.filename for member in archive.infolist()]
    if any(f"/{part}" in name for name in names for part in TORCHSCRIPT):
        raise InputError(
            f"{path} must hold tensors alone, but it is a TorchScript program.",
            hint="Nothing of it was run. Give the weights (a state_dict) that it was made of.",
        )
    size = sum(member.file_size for member in archive.infolist())
    if size > path.stat().st_size:
        raise _damaged(path, f"its {path.stat().st_size:,} bytes would unpack to {size:,}")


def _refuse_old_foreign_code(path: Path) -> None:
    """Do the same with a file from before PyTorch 1.6."""
    with path.open("rb") as file:
        _refuse_foreign_names(path, file)
        file.seek(0)
        first = {argument for _, argument, _ in pickletools.genops(file)}
        if OLD_MAGIC not in first:
            reason = "it is not in the zip format of PyTorch 1.6 and later, nor in the older one"
            raise _damaged(path, reason)
        for _ in range(1, OLD_PICKLES):
            _refuse_foreign_names(path, file)


def _refuse_foreign_names(path: Path, file: IO[bytes]) -> None:
    foreign, strings = set(), [""]
    for instruction, argument, _ in pickletools.genops(file):
        if instruction.name in ("GLOBAL", "INST"):
            name = str(argument).replace(" ", ".").replace("__builtin__", "builtins")
            if name not in TENSOR_NAMES | IGNORED_NAMES:
                foreign.add(name)
        elif instruction.name == "STACK_GLOBAL":  # PyTorch writes none: its protocol is older
            foreign.add(".".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
        elif instruction.name.startswith("EXT"):
            foreign.add(f"extension {argument} of this Python's registry")
    if foreign:
        raise InputError(
            f"{path} must hold tensors alone, but it would import {', '.join(sorted(foreign))}.",
            hint="Nothing of it was run. Fetch the file again from where it was published.",
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} must be a PyTorch checkpoint, but it cannot be read ({reason}).",
        hint="Fetch it again and compare its size with the published one.",
    )
