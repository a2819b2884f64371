"""One folder, or one file, one writer; a second one is told who the first is.

The lock is the system's, which opens it when its owner dies: one that a killed process has left, on
this machine or another, keeps nobody away. Its owner is named in a file beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from dancelcm_cli.data.atomic import require_writable, write_json_atomic
from dancelcm_cli.data.weight_files import weights_folder
from dancelcm_cli.errors import InputError
from dancelcm_cli.interrupt import typed_command


@dataclass(frozen=True)
class Owner:
    """The process that writes, and what it was told to do."""

    pid: int
    host: str
    command: str


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Within, `folder`, made where it is missing, belongs to this process.

    Raises:
        InputError: another process writes to it, or it cannot be written to.
    """
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock", folder):
        yield


@contextmanager
def claimed_name(path: Path) -> Iterator[None]:
    """Within, the file or folder `path`, which may be missing, is made by this process alone.

    Nothing is left beside it: the lock lies in the cache, so that other machines do not see it.

    Raises:
        InputError: another process makes it.
    """
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    locks = weights_folder().with_name("locks")
    try:
        locks.mkdir(parents=True, exist_ok=True)
        (locks / f"{name}.lock").touch()
    except (
        OSError
    ):  # without a cache nobody is kept away, and what is written is whole all the same
        yield
        return
    with _locked(locks / f"{name}.lock", path):
        yield


@contextmanager
def _locked(file: Path, what: Path) -> Iterator[None]:
    lock, owner = FileLock(file), file.with_name(f"{file.name}.owner")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise _in_use(what, _read_owner(owner)) from None
    try:
        us = Owner(os.getpid(), socket.gethostname(), typed_command())
        with suppress(OSError):  # a full disk: who is refused is told less
            write_json_atomic(owner, asdict(us))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _read_owner(path: Path) -> Owner | None:
    """Return the owner who is named; None for one who has died, and whose heir is not named yet."""
    try:
        owner = Owner(**json.loads(path.read_text(encoding="utf-8")))
        gone = owner.host == socket.gethostname() and not psutil.pid_exists(int(owner.pid))
    except (OSError, ValueError, TypeError, OverflowError):
        return None
    return None if gone else owner


def _in_use(what: Path, owner: Owner | None) -> InputError:
    if owner is None:
        return InputError(
            f"{what} must not be in use, but another process is writing to it.",
            hint="Wait for it to end, or choose another --output.",
        )
    stop = f"stop it, which loses nothing, on {owner.host}: kill {owner.pid}"
    return InputError(
        f"{what} must not be in use, but process {owner.pid} on {owner.host} is writing to it:"
        f" {owner.command}",
        hint=f"Wait for it to end, choose another --output, or {stop}",
    )
