"""What a weights folder remembers: the hashes of its files and the licences that were accepted.

    hashes.json     per name: sha256, size and modified_ns of the file when it was hashed; date
    licences.json   per address of a licence: its name and when it was accepted

A record outlives its file: weights whose hash nobody states must be the same when fetched again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dancelcm_cli.data.atomic import write_json_atomic
from dancelcm_cli.data.weight_table import Licence
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import read_json

HASHES = "hashes.json"
LICENCES = "licences.json"


@dataclass(frozen=True)
class HashRecord:
    """A file as it was when it was hashed: size in bytes, time of change in ns, ISO 8601 date."""

    sha256: str
    size: int
    modified_ns: int
    date: str

    @classmethod
    def of(cls, path: Path, sha256: str) -> HashRecord:
        """Return the record of `path`, which has just been hashed."""
        found = path.stat()
        return cls(sha256, found.st_size, found.st_mtime_ns, _today())

    def describes(self, path: Path) -> bool:
        """Whether `path` has not been touched since it was hashed."""
        found = path.stat()
        return (found.st_size, found.st_mtime_ns) == (self.size, self.modified_ns)


def hash_record(folder: Path, name: str) -> HashRecord | None:
    """Return what is recorded of the weights `name`, or None."""
    row = _read(folder / HASHES).get(name)
    try:
        record = None if row is None else HashRecord(**row)
    except TypeError:
        raise _damaged(folder / HASHES) from None
    if record is not None and not isinstance(record.sha256, str):
        raise _damaged(folder / HASHES)
    return record


def record_hash(folder: Path, name: str, record: HashRecord) -> None:
    """Remember `record`; a hash that was seen before keeps the date when it first was."""
    before = hash_record(folder, name)
    if before is not None and before.sha256 == record.sha256:
        record = replace(record, date=before.date)
    write_json_atomic(folder / HASHES, {**_read(folder / HASHES), name: asdict(record)})


def is_accepted(folder: Path, licence: Licence) -> bool:
    """Whether the user has accepted `licence` before."""
    return licence.url in _read(folder / LICENCES)


def accept(folder: Path, licence: Licence) -> None:
    """Remember that the user has accepted `licence`."""
    row = {"name": licence.name, "date": _today()}
    write_json_atomic(folder / LICENCES, {**_read(folder / LICENCES), licence.url: row})


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except FileNotFoundError:
        return {}
    except ValueError:
        raise _damaged(path) from None


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} must hold what dancelcm wrote, but it is damaged.",
        hint="Delete that file and type the command again.",
    )


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
