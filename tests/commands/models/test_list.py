from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import typer

from dancelcm_cli.app import main
from dancelcm_cli.commands.models import list as list_command
from dancelcm_cli.data import weight_table
from dancelcm_cli.data.downloads import verify_file
from dancelcm_cli.data.weight_table import WEIGHTS, Licence, Web, WeightFile

CONTENT = bytes(1000)
Capture = pytest.CaptureFixture[str]


def row(name: str, sha256: str | None) -> WeightFile:
    licence = Licence("MIT", "https://example.org/licence")
    mirrors = (Web(f"https://example.org/{name}"),)
    return WeightFile(name, "tests", "file.bin", len(CONTENT), sha256, licence, mirrors)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with a file in every state that there is."""
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path))
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    hashes = {"checked": sha256, "first": None, "touched": sha256, "begun": None, "absent": sha256}
    rows = tuple(row(name, hash_) for name, hash_ in hashes.items())
    monkeypatch.setattr(weight_table, "WEIGHTS", rows)
    monkeypatch.setattr(list_command, "WEIGHTS", rows)
    folder = tmp_path / "weights"
    for name in ("checked", "first", "touched"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file.bin").write_bytes(CONTENT)
    verify_file("checked")
    verify_file("first")
    (folder / "begun").mkdir()
    (folder / "begun" / "file.bin.12345678.part").write_bytes(CONTENT[:250])
    return folder


def listed(*arguments: str) -> None:
    app = typer.Typer()
    app.command()(list_command.list_models)
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(list(arguments)))
    assert stop.value.code == 0


def test_the_table_tells_what_is_here(folder: Path, capsys: Capture) -> None:
    listed()
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[1]: line for line in lines if "MIT" in line}
    record = json.loads((folder / "hashes.json").read_text())["first"]
    assert "verified" in rows["checked"]
    assert f"hash recorded on {record['date']}" in rows["first"]
    assert "not checked" in rows["touched"]
    assert "25% fetched" in rows["begun"]
    assert " no " in rows["absent"]
    assert lines[-2:] == ["total  5.0 kB", "here   3.0 kB"]


def test_json_tells_the_same_and_more(folder: Path, capsys: Capture) -> None:
    listed("--json")
    listing = json.loads(capsys.readouterr().out)
    assert listing["folder"] == str(folder)
    states = {row["name"]: row["state"] for row in listing["weights"]}
    assert states == {
        "checked": "verified",
        "first": "recorded",
        "touched": "unchecked",
        "begun": "missing",
        "absent": "missing",
    }
    first = listing["weights"][1]
    assert first["sha256"] is None
    assert first["recorded_sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert first["path"] == str(folder / "first" / "file.bin")
    assert first["mirrors"] == ["https://example.org/first"]


def test_an_empty_cache_lists_every_row(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path))
    listed()
    words = set(capsys.readouterr().out.split())
    assert {file.name for file in WEIGHTS} <= words
    assert list(tmp_path.iterdir()) == []
