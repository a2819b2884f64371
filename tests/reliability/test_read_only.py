"""Places that cannot be written to or read from: told in one sentence, before the work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dancelcm_cli.app import app, main
from dancelcm_cli.data.bundled import bundled
from tests.models.published import publish

PHOTO, DANCE = (str(bundled(f"samples/{name}")) for name in ("reference.png", "driving.mp4"))
MISSING = "no-such-model"  # whoever reads it before looking at the output will say so
Commands = Callable[[str], tuple[str, ...]]

# What is typed with an output that cannot be: the place stands for a folder or file in it.
WRITERS: dict[str, Commands] = {
    "preprocess": lambda place: ("preprocess", DANCE, "--model", MISSING, "-o", place),
    "preprocess --preview": lambda place: ("preprocess", DANCE, "--preview", "-o", f"{place}.mp4"),
    "train": lambda place: ("train", MISSING, "-o", place),
    "train --dry-run": lambda place: ("train", MISSING, "--dry-run", "-o", place),
    "distill": lambda place: ("distill", MISSING, "-o", place),
    "animate": lambda place: ("animate", PHOTO, DANCE, "--model", MISSING, "-o", f"{place}.mp4"),
    "animate png": lambda place: (
        *("animate", PHOTO, DANCE, "--model", MISSING, "--format", "png", "-o", place),
    ),
    "animate --preview": lambda place: ("animate", PHOTO, DANCE, "--preview", "-o", f"{place}.mp4"),
    "animate --save-keypoints": lambda place: (
        *("animate", PHOTO, DANCE, "--save-keypoints", f"{place}.npz", "-o", "unused.mp4"),
    ),
    "evaluate": lambda place: ("evaluate", "--dataset", "dance", "--model", MISSING, "-o", place),
    "models convert": lambda place: ("models", "convert", "published", "-o", place),
    "models export": lambda place: (
        *("models", "export", MISSING, "--format", "upstream", "-o", f"{place}.pth"),
    ),
    "models fetch": lambda place: (
        *("models", "fetch", "i3d", "--accept-licence", "--from", "copies", "-o", place),
    ),
}
every_writer = pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to, not even root where the disk knows such files."""
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "earlier").write_text("earlier work")
    folder.chmod(0o555)
    immutable = os.access(folder, os.W_OK) and _set_immutable(folder, "+i")
    if os.access(folder, os.W_OK) and not immutable:
        pytest.skip("root can write everywhere on this disk")
    yield folder
    if immutable:
        _set_immutable(folder, "-i")
    folder.chmod(0o755)
    assert [path.name for path in folder.iterdir()] == ["earlier"]


def _set_immutable(folder: Path, how: str) -> bool:
    if shutil.which("chattr") is None:
        return False
    return subprocess.run(["chattr", how, folder], capture_output=True, check=False).returncode == 0


def refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """Type a command that must end with 2; return its two lines."""
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(list(arguments)))
    said = capsys.readouterr().err
    assert stop.value.code == 2, said
    error, hint = [line for line in said.splitlines() if line.startswith(("error: ", "hint:  "))]
    assert "Traceback" not in said
    return f"{error}\n{hint}"


@every_writer
def test_a_read_only_output_is_told_before_the_work(
    writer: Commands, read_only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if writer is WRITERS["models convert"]:
        publish(Path("published"))
    if writer is WRITERS["models fetch"]:
        _copies_of_i3d()
    said = refused(writer(str(read_only / "new")), capsys)
    assert str(read_only) in said
    assert MISSING not in said.splitlines()[0]
    assert "another" in said or "--output" in said


@every_writer
def test_an_output_below_a_file_is_told_before_the_work(
    writer: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    if writer is WRITERS["models convert"]:
        publish(Path("published"))
    if writer is WRITERS["models fetch"]:
        _copies_of_i3d()
    said = refused(writer(str(tmp_path / "file" / "new")), capsys)
    assert str(tmp_path / "file") in said
    assert MISSING not in said.splitlines()[0]
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("writer", ["preprocess", "train", "distill", "evaluate", "animate png"])
def test_an_output_folder_that_is_a_file_is_told_and_kept(
    writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert str(tmp_path / "file") in refused(WRITERS[writer](str(tmp_path / "file")), capsys)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_run_in_a_read_only_folder_is_not_resumed(
    read_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "recipe.toml").write_text('device = "cpu"\n')
    read = {"command": "train", "shards": "shards", "model": None, "student": None}
    (run / "run.json").write_text(json.dumps(read))
    run.chmod(0o555)
    if os.access(run, os.W_OK) and not _set_immutable(run, "+i"):
        pytest.skip("root can write everywhere on this disk")
    try:
        assert str(run) in refused(("train", "--resume", str(run)), capsys)
    finally:
        _set_immutable(run, "-i")
        run.chmod(0o755)


READERS = {
    "videos": lambda path: ("preprocess", path),
    "shards": lambda path: ("train", path, "-o", "run"),
    "teacher": lambda path: ("distill", "shards", "--teacher", path, "-o", "run"),
    "photo": lambda path: ("animate", path, DANCE),
    "dance": lambda path: ("animate", PHOTO, path),
    "model": lambda path: ("animate", PHOTO, DANCE, "--model", path),
    "table": lambda path: ("animate", "--batch", path),
    "truth": lambda path: ("evaluate", "--dataset", "folder", "--truth", path),
    "predictions": lambda path: ("evaluate", "--dataset", "dance", "--predictions", path),
    "network": lambda path: ("models", "convert", path, "-o", "converted"),
    "export": lambda path: ("models", "export", path, "--format", "upstream", "-o", "out.pth"),
    "recipe": lambda path: ("train", "shards", "--recipe", path),
    "verify": lambda path: ("preprocess", "--verify", path),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("kind", ["missing", "empty folder", "empty file", "/proc/self/mem"])
def test_an_input_that_cannot_be_read_is_named(
    reader: Commands, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(kind) if kind.startswith("/") else tmp_path / "input"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "empty file":
        path.touch()
    if kind.startswith("/") and not path.exists():
        pytest.skip("needs Linux's /proc")
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(list(reader(str(path)))))
    said = capsys.readouterr().err
    assert stop.value.code in (2, 3), said
    assert "Traceback" not in said and "error: " in said.lower()


def test_a_full_terminal_is_a_full_disk() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dancelcm_cli", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: The disk is full: ")


def _copies_of_i3d() -> None:
    from dancelcm_cli.data.weight_table import weight_file

    Path("copies").mkdir()
    Path("copies", weight_file("i3d").file_name).write_bytes(b"weights")


def test_help_needs_no_place_to_write(read_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(read_only)
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
