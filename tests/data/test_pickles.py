"""Foreign checkpoints are read, and nothing that they hold is run."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dancelcm_cli.data.pickles import IGNORED_NAMES, read_pickled_tensors
from dancelcm_cli.errors import InputError

TENSORS = {
    "weight": torch.arange(6.0).view(2, 3),
    "half": torch.ones(2, dtype=torch.float16),
    "steps": torch.tensor([3]),
}
SYSTEM = f"{os.system.__module__}.system"  # posix or nt


class Trap:
    """Calls something when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def traps(mark: Path) -> dict[str, Trap]:
    """What each trap would call, by the name that the pickle gives it."""
    return {
        SYSTEM: Trap(os.system, f"touch {mark}"),
        "builtins.eval": Trap(eval, f"open({str(mark)!r}, 'w')"),
        "torch.hub.load": Trap(torch.hub.load, str(mark.parent), "model"),
        "torch.serialization.load": Trap(torch.load, str(mark)),
    }


def handwritten(path: Path, code: bytes) -> Path:
    """Write a checkpoint in PyTorch's format whose pickle is `code`."""
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, code if name.endswith("data.pkl") else content)
    return path


# --- what is read ---


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        OrderedDict(TENSORS),
        {"state_dict": TENSORS, "step": 3},
        {**TENSORS, "note": "text", "rates": [1e-4, 2**40], "blob": b"bytes", "kinds": {"a", "b"}},
        {name: torch.nn.Parameter(t, requires_grad=False) for name, t in TENSORS.items()},
    ],
    ids=["plain", "ordered", "wrapped", "with other things", "parameters"],
)
def test_tensors_come_back_bit_for_bit(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "file.pth")
    tensors = read_pickled_tensors(tmp_path / "file.pth")
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.equal(TENSORS[name])
        assert tensor.dtype == TENSORS[name].dtype


@pytest.mark.parametrize("name", sorted(IGNORED_NAMES))
def test_what_lightning_keeps_is_made_but_does_nothing(tmp_path: Path, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    called = f"c{module}\n{attribute}\n(X\x05\x00\x00\x00touchtRX\x05\x00\x00\x00stateb"
    kept = handwritten(
        tmp_path / "file.ckpt", b"\x80\x02}X\x01\x00\x00\x00x" + called.encode() + b"s."
    )
    with pytest.raises(InputError, match="holds no tensors"):
        read_pickled_tensors(kept)


# --- what is refused ---


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("packed", [True, False], ids=["checkpoint", "bare pickle"])
@pytest.mark.parametrize(
    "name", [SYSTEM, "builtins.eval", "torch.hub.load", "torch.serialization.load"]
)
def test_foreign_code_is_refused_by_its_name_and_not_run(
    tmp_path: Path, mark: Path, traps: dict[str, Trap], name: str, packed: bool, protocol: int
) -> None:
    file = tmp_path / "file.ckpt"
    content = {"state_dict": TENSORS if packed else {}, "callbacks": traps[name]}
    if packed:
        torch.save(content, file, pickle_protocol=protocol)
    else:
        file.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(InputError, match=f"would import .*{name}") as refusal:
        read_pickled_tensors(file)
    assert refusal.value.hint
    assert not mark.exists()


def test_every_foreign_name_is_told(tmp_path: Path, traps: dict[str, Trap]) -> None:
    torch.save(list(traps.values()), tmp_path / "file.ckpt")
    with pytest.raises(InputError) as refusal:
        read_pickled_tensors(tmp_path / "file.ckpt")
    assert all(name in refusal.value.message for name in traps)


def test_a_name_put_together_out_of_sight_is_refused(tmp_path: Path, mark: Path) -> None:
    def text(word: str) -> bytes:
        return b"X" + len(word).to_bytes(4, "little") + word.encode()

    # Allowed words lie on top, but what is imported comes from the memo below them.
    hidden = text(os.system.__module__) + b"q\x000" + text("system") + b"q\x010"
    seen = text("collections") + b"0" + text("OrderedDict") + b"0"
    call = b"h\x00h\x01\x93" + text(f"touch {mark}") + b"\x85R."
    file = handwritten(tmp_path / "file.ckpt", b"\x80\x02" + hidden + seen + call)
    with pytest.raises(InputError, match="would import"):
        read_pickled_tensors(file)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"no pickle", "cannot be read"),
        (pickle.dumps({"a": 1}), "not in the zip format"),
        (b"PK\x03\x04 half a file", "cannot be read"),
    ],
    ids=["empty", "text", "old format", "cut off"],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(InputError, match=reason) as refusal:
        read_pickled_tensors(tmp_path / "file.pth")
    assert refusal.value.hint


def test_a_checkpoint_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.pth"
    torch.save(TENSORS, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read_pickled_tensors(file)


@pytest.mark.parametrize("content", [{}, {"step": 3}, torch.zeros(2), [torch.zeros(2)]])
def test_a_checkpoint_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(InputError, match="must be a PyTorch checkpoint"):
        read_pickled_tensors(tmp_path / "file.pth")


def test_a_checkpoint_from_before_pytorch_1_6_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file.pt"
    torch.save(OrderedDict(TENSORS), file, _use_new_zipfile_serialization=False)
    found = read_pickled_tensors(file)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_foreign_code_in_an_old_checkpoint_is_refused_and_not_run(
    tmp_path: Path, mark: Path, traps: dict[str, Trap]
) -> None:
    file = tmp_path / "file.pt"
    content = {**TENSORS, "callback": traps[SYSTEM]}
    torch.save(content, file, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=f"would import .*{SYSTEM}"):
        read_pickled_tensors(file)
    assert not mark.exists()
