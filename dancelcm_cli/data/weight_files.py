"""Where weights lie on this machine, and whether they are what they must be.

    ~/.cache/dancelcm/weights/NAME/FILE                the file, under the name it has on the web
    ~/.cache/dancelcm/weights/NAME/FILE.12345678.part  what has come of it so far

`DANCELCM_CACHE` takes the place of `~/.cache/dancelcm`. A fetched file gets its own name only once
its hash is right.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dancelcm_cli.data.weight_ledger import HashRecord, hash_record, record_hash
from dancelcm_cli.data.weight_table import WeightFile, weight_file
from dancelcm_cli.errors import InputError, WeightsMissingError
from dancelcm_cli.plain_files import require_plain_file

CACHE_VARIABLE = "DANCELCM_CACHE"

State = Literal["missing", "unchecked", "verified", "recorded"]


@dataclass(frozen=True)
class WeightStatus:
    """What is known of weights without reading them.

    `state`: "missing"; "unchecked", there but touched since its hash was looked at, if ever;
    "verified", its hash is the stated one; "recorded", its hash is that of the first use, as nobody
    states one. `fetched` bytes of a missing file have come so far. `record` is the latest hash.
    """

    state: State
    fetched: int
    record: HashRecord | None


def weights_folder() -> Path:
    """Return the folder where fetched weights are kept, whether it exists or not."""
    cache = os.environ.get(CACHE_VARIABLE) or "~/.cache/dancelcm"
    return Path(cache).expanduser() / "weights"


def weights_path(file: WeightFile, folder: Path) -> Path:
    """Return where `file` lies in `folder`, whether it is there or not."""
    return folder / file.name / file.file_name


def find_weights(name: str, folder: Path | None = None) -> Path:
    """Return the file of the weights `name`; it is hashed if it was touched since it last was.

    Raises:
        WeightsMissingError: it is not there; the hint says how to fetch it.
        InputError: its hash is not the one it must be.
    """
    folder = folder or weights_folder()
    file = weight_file(name)
    if weight_status(file, folder).state in ("missing", "unchecked"):
        verify_file(name, folder)
    return weights_path(file, folder)


def verify_file(name: str, folder: Path | None = None) -> HashRecord:
    """Hash the weights `name` and return what is recorded of them from now on.

    Where nobody states the hash, it must be that of the first use.

    Raises:
        WeightsMissingError: the file is not there; the hint says how to fetch it.
        InputError: its hash is not the one it must be.
    """
    folder = folder or weights_folder()
    file = weight_file(name)
    path = weights_path(file, folder)
    if not path.is_file():
        raise WeightsMissingError(
            f"{file.file_name} ({file.purpose}) must be in {path.parent}, but is not there.",
            hint=f"Type: dancelcm models fetch {name}",
        )
    hint = f"Delete that file and type: dancelcm models fetch {name}"
    record = HashRecord.of(path, require_sha256(path, expected_sha256(file, folder), hint))
    with suppress(OSError):  # in a folder that cannot be written it is hashed each time
        record_hash(folder, name, record)
    return record


def weight_status(file: WeightFile, folder: Path) -> WeightStatus:
    """Return what is known of `file` in `folder`, without hashing it."""
    path, record = weights_path(file, folder), hash_record(folder, file.name)
    if not path.is_file():
        fetched = max((part.stat().st_size for part in part_paths(path)), default=0)
        return WeightStatus("missing", fetched, record)
    if record is None or not record.describes(path):
        return WeightStatus("unchecked", 0, record)
    return WeightStatus("verified" if file.sha256 else "recorded", 0, record)


def expected_sha256(file: WeightFile, folder: Path) -> str | None:
    """Return the hash that `file` must have: as stated, else as recorded, None at the first use."""
    record = hash_record(folder, file.name)
    return file.sha256 or (record.sha256 if record else None)


def require_sha256(path: Path, expected: str | None, hint: str) -> str:
    """Return the hash of `path`, which may be any where `expected` is None.

    Raises:
        InputError: it is another one.
    """
    sha256 = file_sha256(path)
    if sha256 != (expected or sha256):
        raise InputError(f"The sha256 of {path} must be {expected}, got {sha256}.", hint)
    return sha256


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal.

    Raises:
        InputError: it is no ordinary file.
    """
    require_plain_file(path, "a file")
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def part_paths(path: Path) -> Sequence[Path]:
    """Return what has come so far of the missing file `path`."""
    return sorted(path.parent.glob(f"{path.name}.*.part"))


def readable_size(num_bytes: float) -> str:
    """Return a number of bytes for people, such as "5.7 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}"
    return f"{num_bytes:.0f} B"
