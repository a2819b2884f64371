from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from dancelcm_cli.data.weight_files import weights_folder
from tests.commands.models.running import exit_code_of
from tests.models.published import NETWORK

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def broken(converted: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(converted, tmp_path / "broken")
    (folder / "vae" / "config.json").unlink()
    return folder


def test_a_whole_folder_is_shown_with_its_hashes(converted: Path, capsys: Capture) -> None:
    assert exit_code_of("verify", converted) == 0
    out = capsys.readouterr().out
    for path in converted.rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() in out
    assert "unet, parameters" in out


def test_a_broken_folder_fails(broken: Path, capsys: Capture) -> None:
    assert exit_code_of("verify", broken) == 2
    assert "config.json must be a JSON object" in capsys.readouterr().err


def test_all_are_checked_before_it_fails(
    converted: Path, broken: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert exit_code_of("verify", tmp_path / "none", broken, converted) == 5
    out, err = capsys.readouterr()
    assert str(converted) in out
    assert "no model_index.json" in err
    assert "config.json must be a JSON object" in err


def test_what_is_neither_a_folder_nor_weights_fails(tmp_path: Path) -> None:
    assert exit_code_of("verify", tmp_path / "none") == 2


def test_fetched_weights_are_known_by_name(published: Path, capsys: Capture) -> None:
    assert exit_code_of("verify", "unianimate") == 3
    assert "models fetch unianimate" in capsys.readouterr().err
    fetched = weights_folder() / "unianimate" / NETWORK
    fetched.parent.mkdir(parents=True)
    shutil.copy(published / NETWORK, fetched)
    assert exit_code_of("verify", "unianimate") == 0
    assert hashlib.sha256(fetched.read_bytes()).hexdigest() in capsys.readouterr().out
