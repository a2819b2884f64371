from pathlib import Path

import pytest

from dancelcm_cli.data.jsonl import append_rows, read_rows, rewrite_rows
from dancelcm_cli.errors import InputError

ROWS = [{"source": "a.mp4"}, {"source": "ü\n\udcff.mp4"}]  # a name that is no valid UTF-8


def test_rows_come_back_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    append_rows(path, ROWS[:1])
    append_rows(path, ROWS[1:])
    assert read_rows(path) == ROWS


def test_a_missing_ledger_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "ledger.jsonl") == []


def test_any_torn_tail_costs_no_more_than_its_own_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    append_rows(path, ROWS)
    whole = path.read_bytes()
    first_line = whole.index(b"\n") + 1
    for length in range(first_line, len(whole)):
        path.write_bytes(whole[:length])
        assert read_rows(path) == ROWS[:1]
        append_rows(path, ROWS[1:])
        assert path.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    rewrite_rows(path, ROWS)
    path.write_bytes(path.read_bytes().replace(b"{", b"[", 1))
    with pytest.raises(InputError, match="Line 1 of"):
        read_rows(path)
