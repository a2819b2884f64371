from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dancelcm_cli.data import weight_table
from dancelcm_cli.data.weight_table import Licence, Web, WeightFile
from dancelcm_cli.doctor.weights import check_weights

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def row(name: str, sha256: str | None) -> WeightFile:
    licence = Licence("MIT", "https://example.org/licence")
    return WeightFile(
        name, "tests", "file.bin", 100, sha256, licence, (Web("https://example.org"),)
    )


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightFile:
    """Weights in `tmp_path` whose hash is stated."""
    file = row("mine", SHA256)
    monkeypatch.setattr(weight_table, "WEIGHTS", (file,))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.bin").write_bytes(CONTENT)
    return file


def test_weights_that_were_not_fetched_are_no_fault(tmp_path: Path) -> None:
    check = check_weights(row("absent", None), tmp_path)
    assert (check.state, check.fix) == ("ok", "")
    assert "not fetched" in check.found


def test_a_fetch_that_broke_off_is_told_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "file.bin.12345678.part").write_bytes(bytes(25))
    check = check_weights(row("begun", None), tmp_path)
    assert (check.state, check.found) == ("warn", "25 B of 100 B fetched")
    assert "dancelcm models fetch begun" in check.fix


def test_weights_are_hashed_once(tmp_path: Path, fetched: WeightFile) -> None:
    first, second = (check_weights(fetched, tmp_path) for _ in range(2))
    assert first == second
    assert (first.state, first.found) == ("ok", f"sha256 {SHA256[:12]}, as stated")


def test_damaged_weights_are_warned_of(tmp_path: Path, fetched: WeightFile) -> None:
    (tmp_path / "mine" / "file.bin").write_bytes(b"damaged")
    check = check_weights(fetched, tmp_path)
    assert check.state == "warn"
    assert "sha256" in check.found and "dancelcm models fetch mine" in check.fix
