"""Ledgers: one JSON object a line, appended as work is done, readable after any kill."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dancelcm_cli.data.atomic import refusals_naming, write_text_atomic
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import parse_json, require_plain_file

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Return the complete rows of `path`; none if it is missing.

    A last line without its line end was being written when a run was killed: it is left out.

    Raises:
        InputError: A complete line is no JSON object.
    """
    if not path.exists():
        return []
    require_plain_file(path, "a ledger")
    complete = path.read_bytes().split(b"\n")[:-1]
    return [_parse(path, number, line) for number, line in enumerate(complete, start=1)]


def append_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append `rows` and force them to the disk; a torn last line is cut off first.

    Raises:
        OSError: the system refused; it names `path`.
    """
    text = "".join(_line(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with refusals_naming(path), open(path, "r+b" if path.exists() else "w+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(text.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())


def rewrite_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Replace the ledger by `rows` in one step."""
    write_text_atomic(path, "".join(_line(row) for row in rows))


def _line(row: Mapping[str, object]) -> str:
    # ASCII keeps any file name, even one that is no valid UTF-8, and no line end inside a row.
    return json.dumps(row, ensure_ascii=True) + "\n"


def _parse(path: Path, number: int, line: bytes) -> Row:
    try:
        row = parse_json(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        text = line[:60].decode(errors="replace")
        raise InputError(
            f"Line {number} of {path} must be a JSON object, got {text!r}.",
            hint=f"Delete that line, or the folder {path.parent}, and run the command again.",
        )
    return row
