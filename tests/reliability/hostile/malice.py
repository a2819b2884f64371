"""Weights that are programs: each would leave a mark on the disk if anything of it were run.

They are what a stranger might call `model.pth`: pickles in every format that PyTorch has had,
programs of TorchScript, and pickles whose names are put together where no list of imports sees it.
"""

from __future__ import annotations

import builtins
import io
import os
import pickle
import pickletools
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

SYSTEM = f"{os.system.__module__}\nsystem"  # posix or nt


class Call:
    """Calls something when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


class State:
    """Calls something by the state that it is given when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, Path]) -> None:
        state["mark"].touch()


def pickles(mark: Path) -> Iterator[tuple[str, bytes]]:
    """Yield programs that would make the file `mark`, as pickles, by what is wicked about them."""
    touch, write = f"touch {mark}", f"open({str(mark)!r}, 'w').close()"
    traps: dict[str, object] = {
        "os.system": Call(os.system, touch),
        "eval": Call(builtins.eval, write),
        "exec": Call(builtins.exec, write),
        "getattr": Call(getattr, Path(mark), "touch"),
        "open": Call(open, str(mark), "w"),
        "import": Call(__import__, "antigravity"),
        "torch.load": Call(torch.load, str(mark)),
        "torch.hub": Call(torch.hub.load, str(mark.parent), "model"),
        "setstate": State(mark),
    }
    for name, trap in traps.items():
        for protocol in (0, 2, 4):
            yield f"{name}, protocol {protocol}", pickle.dumps({"weight": trap}, protocol)
    command = pickletools.optimize(pickle.dumps(touch, 2))[2:-1]
    yield "a global and a reduce", b"c" + SYSTEM.encode() + b"\n" + command + b"\x85R."
    yield "an instance", b"(" + command + b"i" + SYSTEM.encode() + b"\n."
    yield "an object", b"(c" + SYSTEM.encode() + b"\n" + command + b"o."
    module, name = SYSTEM.split("\n")
    parts = [pickle.dumps(text, 4)[11:-2] for text in (module, name)]
    hidden = b"\x80\x04" + parts[1] + b"\x94" + parts[0] + b"\x94" + b"00h\x01h\x00\x93"
    yield "names out of the memo", hidden + command + b"\x85R."
    yield "an extension", b"\x80\x02\x82\x01" + command + b"\x85R."
    yield "numpy's objects", pickle.dumps(_array_of(Call(os.system, touch)), 2)


def checkpoints(mark: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Write files that would make `mark`, and yield them by what is wicked about them."""
    for number, (name, code) in enumerate(pickles(mark)):
        for form, write in FORMS.items():
            path = folder / f"{number:02d}-{form}.pth"
            write(path, code)
            yield f"{name}, {form}", path
    yield "TorchScript", _script(folder / "script.pt")


def _zip(path: Path, code: bytes) -> None:
    """Write `code` where PyTorch 1.6 and later look for it."""
    torch.save({"weight": torch.ones(2)}, path)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, code if name.endswith("data.pkl") else content)


def _old(path: Path, code: bytes) -> None:
    """Write `code` as PyTorch before 1.6 has it: magic number, protocol, machine, the pickle."""
    torch.save({"weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    content, file = path.read_bytes(), io.BytesIO(path.read_bytes())
    for _ in range(3):
        list(pickletools.genops(file))
    path.write_bytes(content[: file.tell()] + code + pickle.dumps([], 2))


def _tar(path: Path, code: bytes) -> None:
    """Write `code` as PyTorch before 0.1.10 has it."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            member = tarfile.TarInfo(name)
            member.size = len(code)
            archive.addfile(member, io.BytesIO(code))


def _bare(path: Path, code: bytes) -> None:
    path.write_bytes(code)


def _both(path: Path, code: bytes) -> None:
    """Write a pickle in front of an archive without fault: which of the two is it?"""
    torch.save({"weight": torch.ones(2)}, path)
    path.write_bytes(code + path.read_bytes())


FORMS: dict[str, Callable[[Path, bytes], None]] = {
    "zip": _zip,
    "old": _old,
    "tar": _tar,
    "bare": _bare,
    "both": _both,
}


class _Doubling(torch.nn.Module):
    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given * 2


def _script(path: Path) -> Path:
    traced = torch.jit.trace(_Doubling(), torch.ones(2))
    torch.jit.save(traced, path)
    return path


def _array_of(trap: object) -> object:
    import numpy as np

    array = np.empty(1, object)
    array[0] = trap
    return {"weight": array}
