from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dancelcm_cli.data.claim import claimed, claimed_name
from dancelcm_cli.errors import InputError

CLAIM = """
import sys, time
from pathlib import Path
from dancelcm_cli.data.claim import claimed
with claimed(Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(600)
"""
Claim = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DANCELCM_CACHE", str(folder))
    return folder


def test_a_claimed_folder_is_there_and_refuses_another_writer(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with claimed(folder):
        assert folder.is_dir()
        with pytest.raises(InputError, match="must not be in use"), claimed(folder):
            pass


@pytest.mark.parametrize("claim", [claimed, claimed_name])
def test_a_claim_ends_with_its_block_however_that_ends(tmp_path: Path, claim: Claim) -> None:
    with pytest.raises(ZeroDivisionError), claim(tmp_path):
        raise ZeroDivisionError
    with claim(tmp_path):
        pass


@pytest.mark.parametrize("claim", [claimed, claimed_name])
def test_who_is_refused_is_told_by_whom_and_what_that_does(
    tmp_path: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["dancelcm", "train", "my shards"])
    whom = f"process {os.getpid()} on {socket.gethostname()} .*: dancelcm train 'my shards'"
    with claim(tmp_path), pytest.raises(InputError, match=whom) as caught, claim(tmp_path):
        pass
    assert f"kill {os.getpid()}" in caught.value.hint


def test_a_claimed_name_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with claimed_name(tmp_path / "dance.mp4"), claimed_name(tmp_path / "other.mp4"):
        assert not list(tmp_path.iterdir())
    same = tmp_path / ".." / tmp_path.name / "dance.mp4"
    with claimed_name(tmp_path / "dance.mp4"), pytest.raises(InputError), claimed_name(same):
        pass


def test_a_name_is_claimed_from_nobody_where_there_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "file"))
    with claimed_name(tmp_path / "dance.mp4"), claimed_name(tmp_path / "dance.mp4"):
        pass


@pytest.mark.parametrize("claim", [claimed, claimed_name])
def test_a_full_disk_keeps_nobody_from_claiming(
    tmp_path: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("dancelcm_cli.data.claim.write_json_atomic", refuse)
    with claim(tmp_path), pytest.raises(InputError, match="another process"), claim(tmp_path):
        pass


def test_the_claim_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "claimed\n"
        with pytest.raises(InputError, match=f"process {process.pid} on"), claimed(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = json.loads((tmp_path / ".lock.owner").read_text())
    assert left["pid"] == process.pid
    with claimed(tmp_path):
        assert json.loads((tmp_path / ".lock.owner").read_text())["pid"] == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "owner",
    [
        '{"pid": 4194305, "host": "HERE", "command": "dancelcm train"}',  # no number is so large
        '{"pid": 1, "host": "another", "command": "dancelcm train"}',
        '{"pid": 1e400, "host": 3}',
        "[]",
        "",
    ],
)
def test_an_owner_without_a_lock_keeps_nobody_away(tmp_path: Path, owner: str) -> None:
    named = tmp_path / ".lock.owner"
    (tmp_path / ".lock").touch()
    named.write_text(owner.replace("HERE", socket.gethostname()))
    with claimed(tmp_path):
        named.write_text(owner.replace("HERE", socket.gethostname()))
        if "another" not in owner:  # the heir of the dead is not named yet
            with pytest.raises(InputError, match="another process"), claimed(tmp_path):
                pass
