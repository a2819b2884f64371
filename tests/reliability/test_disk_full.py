"""A disk that fills up, on a sample of the points that `starvation.py` tries one by one."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dancelcm_cli.app import main
from dancelcm_cli.data.atomic import (
    TEMPORARY_PREFIX,
    atomic_folder,
    atomic_path,
    refuse_full_disk,
    require_writable,
)
from dancelcm_cli.data.jsonl import append_rows, read_rows
from dancelcm_cli.errors import InputError
from tests.reliability.starvation_disk import may_mount

FULL = Path("/dev/full")
ROOT = Path(__file__).parents[2]
WRITERS: dict[str, Callable[[Path], object]] = {
    "Python": lambda path: path.write_bytes(bytes(2**20)),
    "safetensors": lambda path: save_file({"x": torch.zeros(2**18)}, path),
}

# Runs in a process that may write 64 KiB into a file: argv names the file and the writer.
SMALL_FILES = """
import resource, sys
from pathlib import Path
from dancelcm_cli.app import main
from dancelcm_cli.data.atomic import atomic_path
from tests.reliability.test_disk_full import WRITERS
def command():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
    with atomic_path(Path(sys.argv[1])) as temporary:
        WRITERS[sys.argv[2]](temporary)
main(command)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_names_the_file_that_had_no_room(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "result.bin"
    path.write_text("earlier")
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FILES, str(path), writer],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[0] == f"error: The disk is full: {path} could not be written."
    assert "Free some space there, then type the same command again" in done.stderr
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="needs a user who may mount a disk in a namespace")
@pytest.mark.parametrize("stage", ["evaluate", "models export .pth"])
def test_a_command_on_a_disk_that_fills_up_ends_well_and_goes_on(stage: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.starvation", stage, "--points", "1"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    tried = re.findall(rf"^\| {re.escape(stage)} \| 1 \| 1 \| 1 \| \d \| 0 \|", done.stdout, re.M)
    assert tried


def test_what_no_system_refused_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot identify") as caught, atomic_path(tmp_path / "a"):
        raise OSError("cannot identify image file")
    assert caught.value.errno is None
    with pytest.raises(FileNotFoundError) as missing, atomic_path(tmp_path / "a"):
        (tmp_path / "driving.mp4").read_bytes()
    assert str(missing.value.filename).endswith("driving.mp4")


def test_a_temporary_name_is_not_what_the_user_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, atomic_path(tmp_path / "a") as temporary:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
    assert caught.value.filename == str(tmp_path / "a")


def test_a_folder_that_cannot_take_its_name_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace = tmp_path / "model", os.replace
    path.mkdir()
    (path / "earlier").touch()
    monkeypatch.setattr(os, "replace", lambda old, new: _full_but_for(path, replace, old, new))
    with pytest.raises(OSError, match=r"No space.*model"), atomic_folder(path) as temporary:
        (temporary / "new").touch()
    assert [entry.name for entry in path.iterdir()] == ["earlier"]
    assert list(tmp_path.iterdir()) == [path]


def _full_but_for(path: Path, replace: Callable[[Path, Path], None], old: Path, new: Path) -> None:
    """Rename, unless it is the new folder that is to become `path`."""
    if new == path and (old / "new").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(old))
    replace(old, new)


def test_a_row_that_had_no_room_is_cut_off_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "metrics.jsonl"
    append_rows(ledger, [{"step": 1}])
    with monkeypatch.context() as patch, pytest.raises(OSError) as caught:
        patch.setattr(os, "fsync", _no_space)
        append_rows(ledger, [{"step": 2}])
    assert caught.value.filename == str(ledger)
    ledger.write_bytes(ledger.read_bytes()[:-3])
    append_rows(ledger, [{"step": 2}])
    assert read_rows(ledger) == [{"step": 1}, {"step": 2}]


def _no_space(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_told_from_another_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_full_disk(tmp_path / f"{TEMPORARY_PREFIX}roomy")
    with pytest.raises(SystemExit) as stop:
        main(lambda: refuse_full_disk(FULL))
    assert stop.value.code == 2
    assert "error: The disk is full: /dev/full could not be written." in capsys.readouterr().err


def test_a_place_is_tried_without_a_trace(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="must lie where it can be written"):
        require_writable(tmp_path / "file" / "folder")
