from __future__ import annotations

from pathlib import Path

from dancelcm_cli.data.weight_ledger import (
    HashRecord,
    accept,
    hash_record,
    is_accepted,
    record_hash,
)
from dancelcm_cli.data.weight_table import Licence


def test_an_empty_folder_remembers_nothing(tmp_path: Path) -> None:
    assert hash_record(tmp_path, "net") is None
    assert not is_accepted(tmp_path, Licence("MIT", "https://example.org"))


def test_records_come_back_by_name(tmp_path: Path) -> None:
    records = {name: HashRecord(name, 1, 2, "2026-01-01") for name in ("net", "vae")}
    for name, record in records.items():
        record_hash(tmp_path, name, record)
    assert {name: hash_record(tmp_path, name) for name in records} == records


def test_a_hash_keeps_the_date_when_it_was_first_seen(tmp_path: Path) -> None:
    record_hash(tmp_path, "net", HashRecord("one", 1, 2, "2026-01-01"))
    record_hash(tmp_path, "net", HashRecord("one", 1, 3, "2026-01-02"))
    assert hash_record(tmp_path, "net") == HashRecord("one", 1, 3, "2026-01-01")
    record_hash(tmp_path, "net", HashRecord("two", 1, 4, "2026-01-03"))
    assert hash_record(tmp_path, "net") == HashRecord("two", 1, 4, "2026-01-03")


def test_a_licence_is_known_by_its_address(tmp_path: Path) -> None:
    accept(tmp_path, Licence("MIT", "https://example.org/one"))
    assert is_accepted(tmp_path, Licence("MIT", "https://example.org/one"))
    assert not is_accepted(tmp_path, Licence("MIT", "https://example.org/two"))
