"""Files that are either whole or not there.

Everything the toolkit writes goes to a temporary name in the same folder and is renamed when it is
complete, so that a killed run never leaves half a file under a name that a later run would trust.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffix, because encoders choose the container by it. Parent folders
    are made. If the block raises, the temporary file is removed and `path` is as it was before.
    """
    temporary = _temporary_beside(path)
    try:
        yield temporary
        rename_complete(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def rename_complete(temporary: Path, path: Path) -> None:
    """Give a complete file its own name once its content is on the disk."""
    _flush(temporary)
    os.replace(temporary, path)
    _flush(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it takes the place of `path` if the block succeeds.

    An earlier `path` is moved aside and removed afterwards: there is an instant between the two
    renames where neither folder has the name, but none where it holds half of one.
    """
    temporary = _temporary_beside(path)
    temporary.mkdir()
    earlier = _temporary_beside(path)
    try:
        yield temporary
        for file in temporary.rglob("*"):
            _flush(file)
        if path.exists():
            os.replace(path, earlier)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json_atomic(path: Path, value: Mapping[str, object] | list[object]) -> None:
    """Write `value` as JSON, indented by two, with its keys in the order given."""
    write_text_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def remove_temporaries(folder: Path) -> None:
    """Remove what killed runs left in `folder`; only for one whose lock this process holds."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _temporary_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}{path.suffix}")


def _flush(path: Path) -> None:
    """Force a file's (or, where the system allows it, a folder's) content to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
