"""Files that are either whole or not there.

Everything the toolkit writes goes to a temporary name in the same folder and is renamed when it is
complete, so that a killed run never leaves half a file under a name that a later run would trust.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from safetensors import SafetensorError

from dancelcm_cli.errors import DISK_FULL, InputError, refused_by_system

TEMPORARY_PREFIX = ".tmp-"
# safetensors tells of it in words alone; those of releases before 0.6 come first.
SYSTEM_ERROR = re.compile(r"(?:Os { code: |os error )(\d+)")
ROOM = 2**20  # bytes: what a disk that is not full has left


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffix, because encoders choose the container by it. Parent folders
    are made. If the block raises, the temporary file is removed and `path` is as it was before.

    Raises:
        OSError: the system refused; it names `path`, whatever the encoder said.
    """
    with refusals_naming(path):
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
    _flush_folder(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it takes the place of `path` if the block succeeds.

    An earlier `path` is moved aside and removed afterwards: there is an instant between the two
    renames where neither folder has the name, but none where it holds half of one.

    Raises:
        OSError: the system refused; it names `path`, whatever the encoder said.
    """
    with refusals_naming(path):
        temporary, earlier = _temporary_beside(path), _temporary_beside(path)
        try:
            temporary.mkdir()
            yield temporary
            for file in temporary.rglob("*"):
                _flush(file)
            if path.exists():
                os.replace(path, earlier)
            os.replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            if earlier.exists() and not path.exists():
                os.replace(earlier, path)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def refusals_naming(path: Path) -> Iterator[None]:
    """Within, what the system refuses is an OSError that names `path`.

    Encoders tell of it without a name or with that of a temporary file, and safetensors in words.
    """
    try:
        yield
    except SafetensorError as error:
        number = SYSTEM_ERROR.search(str(error))
        if number is None:
            raise
        raise _refusal(int(number[1]), path) from error
    except OSError as error:
        named = error.filename is not None and TEMPORARY_PREFIX not in str(error.filename)
        if error.errno is None or named:
            raise
        raise _refusal(error.errno, path) from error


def refuse_full_disk(path: Path) -> None:
    """Find out whether another program failed because it could not write on at `path`.

    Raises:
        OSError: the disk, the user's share of it or the file may not grow.
    """
    with refusals_naming(path), path.open("ab") as file:
        file.write(bytes(ROOM))
        os.fsync(file.fileno())


def require_writable(folder: Path) -> None:
    """Refuse before the work a folder that could not be made or filled after it.

    Raises:
        InputError: what there is of its path cannot be written to.
    """
    above = next(part for part in (folder, *folder.absolute().parents) if part.exists())
    try:
        with TemporaryFile(dir=above):
            pass
    except OSError as error:
        if error.errno in DISK_FULL:
            raise refused_by_system(_refusal(error.errno, above.absolute())) from error
        raise InputError(
            f"{folder} must lie where it can be written, but {above} cannot: {error.strerror}.",
            hint="Choose another place by --output.",
        ) from error


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends; names of files that are none keep their bytes."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")


def write_json_atomic(path: Path, value: Mapping[str, object] | list[object]) -> None:
    """Write `value` as JSON, indented by two, with its keys in the order given."""
    write_text_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def remove_temporaries(folder: Path) -> None:
    """Remove what killed runs left in `folder`; only for one whose lock this process holds."""
    _remove(folder.glob(f"{TEMPORARY_PREFIX}*"))


def remove_temporaries_of(path: Path) -> None:
    """Remove what killed processes left of `path`; only while this process alone makes it."""
    _remove(path.parent.glob(f"{temporary_prefix(path)}*"))


def temporary_prefix(path: Path) -> str:
    """Return how the names begin of all that is temporary of `path`."""
    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]
    return f"{TEMPORARY_PREFIX}{mark}-"


def _remove(leftovers: Iterable[Path]) -> None:
    for leftover in leftovers:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _refusal(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def _temporary_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{temporary_prefix(path)}{uuid.uuid4().hex[:12]}{path.suffix}")


def _flush_folder(path: Path) -> None:
    """Force the names in a folder to the disk; where that fails, they are there all the same."""
    with suppress(OSError):
        _flush(path)


def _flush(path: Path) -> None:
    """Force a file's (or, where the system allows it, a folder's) content to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
