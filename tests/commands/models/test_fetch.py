from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
import typer

from dancelcm_cli.app import main
from dancelcm_cli.commands.models.fetch import fetch
from dancelcm_cli.data import weight_table
from dancelcm_cli.data.downloads import OFFLINE_VARIABLES
from dancelcm_cli.data.weight_table import Licence, Web, WeightFile

CONTENT = b"weights"
QUESTION = "Do you accept this licence?"
Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """Somebody at a keyboard who has typed this."""

    def isatty(self) -> bool:
        return True


def row(name: str) -> WeightFile:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    licence = Licence("MIT", "https://example.org/licence")
    mirrors = (Web(f"https://example.org/{name}"),)
    return WeightFile(name, "tests", f"{name}.bin", len(CONTENT), sha256, licence, mirrors)


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of two rows, an empty cache, and a folder with copies of both files."""
    for variable in OFFLINE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weight_table, "WEIGHTS", (row("net"), row("vae")))
    (tmp_path / "stick").mkdir()
    for name in ("net", "vae"):
        (tmp_path / "stick" / f"{name}.bin").write_bytes(CONTENT)
    return tmp_path / "stick"


def exit_code_of(*arguments: str | Path) -> int | str | None:
    app = typer.Typer()
    app.command()(fetch)
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(list(map(str, arguments))))
    return stop.value.code


def test_the_paths_are_the_result(copies: Path, tmp_path: Path, capsys: Capture) -> None:
    assert exit_code_of("net", "vae", "--from", copies, "--accept-licence") == 0
    weights = tmp_path / "cache" / "weights"
    out, err = capsys.readouterr()
    assert out == f"net  {weights}/net/net.bin\nvae  {weights}/vae/vae.bin\n"
    assert err == "net, vae: MIT, https://example.org/licence\n"


def test_output_takes_the_place_of_the_cache(copies: Path, tmp_path: Path) -> None:
    options = ("--from", copies, "--accept-licence", "--output", tmp_path / "here")
    assert exit_code_of("net", *options) == 0
    assert (tmp_path / "here" / "net" / "net.bin").read_bytes() == CONTENT
    assert not (tmp_path / "cache").exists()


def test_a_script_must_accept_the_licence_by_a_flag(copies: Path, capsys: Capture) -> None:
    assert exit_code_of("net", "--from", copies) == 2
    assert "--accept-licence" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_at_a_terminal_the_licence_is_asked_for(
    copies: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert exit_code_of("net", "--from", copies) == code
    out, err = capsys.readouterr()
    assert QUESTION in err
    assert QUESTION not in out


def test_an_accepted_licence_is_remembered(copies: Path, capsys: Capture) -> None:
    exit_code_of("net", "--from", copies, "--accept-licence")
    capsys.readouterr()
    assert exit_code_of("vae", "--from", copies) == 0
    assert capsys.readouterr().err == ""


def test_offline_exits_with_3_and_names_what_is_missing(copies: Path, capsys: Capture) -> None:
    exit_code_of("net", "--from", copies, "--accept-licence")
    assert exit_code_of("net", "vae", "--offline") == 3
    err = capsys.readouterr().err
    assert "error: vae must be in" in err
    assert "hint:  Copy the files" in err


def test_a_lacking_copy_exits_with_3(copies: Path) -> None:
    (copies / "vae.bin").unlink()
    assert exit_code_of("vae", "--from", copies, "--accept-licence") == 3


def test_a_wrong_copy_exits_with_2(copies: Path) -> None:
    (copies / "vae.bin").write_bytes(CONTENT[::-1])
    assert exit_code_of("vae", "--from", copies, "--accept-licence") == 2


def test_an_unknown_name_exits_with_2(capsys: Capture) -> None:
    assert exit_code_of("nett") == 2
    assert "Did you mean 'net'?" in capsys.readouterr().err
