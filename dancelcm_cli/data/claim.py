"""One folder, one writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dancelcm_cli.errors import InputError


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Within, `folder`, made where it is missing, belongs to this process.

    Raises:
        InputError: another process writes to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"{folder} must not be in use, but another run is writing to it.",
            hint="Wait for that run to end, or choose another folder.",
        ) from None
    try:
        yield
    finally:
        lock.release()
