from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from dancelcm_cli.data import weight_table
from dancelcm_cli.data.downloads import OFFLINE_VARIABLES, fetch_files
from dancelcm_cli.data.http_download import CHUNK
from dancelcm_cli.data.weight_files import find_weights, verify_file
from dancelcm_cli.data.weight_ledger import accept
from dancelcm_cli.data.weight_table import Licence, Web, WeightFile
from dancelcm_cli.errors import (
    ConfigError,
    DanceLCMError,
    InputError,
    InterruptedRunError,
    WeightsMissingError,
)
from dancelcm_cli.progress import SilentProgress, Unit

if TYPE_CHECKING:
    from tests.data.conftest import LocalServer

pytestmark = pytest.mark.usefixtures("_no_pauses")

BODY = random.Random(0).randbytes(4 * CHUNK)
OTHER = random.Random(1).randbytes(len(BODY))
LICENCE = Licence("MIT", "https://example.org/licence")
Table = Callable[..., None]


class Listener(SilentProgress):
    """Keeps notes; stops the work like Ctrl-C once `patience` bytes have come."""

    def __init__(self, patience: int | None = None) -> None:
        self.notes: list[str] = []
        self.patience = patience

    def note(self, message: str) -> None:
        self.notes.append(message)

    @contextmanager
    def task(
        self, description: str, total: int, completed: int = 0, unit: Unit = "items"
    ) -> Iterator[Callable[[int, str], None]]:
        come = 0

        def advance(count: int, note: str) -> None:
            nonlocal come
            come += count
            if self.patience is not None and come >= self.patience:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture(autouse=True)
def _network_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in OFFLINE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    """Give the table of weights one row, "net", for a file at the addresses given."""

    def give(*urls: str, sha256: str | None = sha256_of(BODY), size: int = len(BODY)) -> None:
        mirrors = tuple(map(Web, urls))
        row = WeightFile("net", "tests", "net.bin", size, sha256, LICENCE, mirrors)
        monkeypatch.setattr(weight_table, "WEIGHTS", (row,))

    return give


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A weights folder where the licence is accepted."""
    accept(tmp_path / "weights", LICENCE)
    return tmp_path / "weights"


def fetch_file(
    name: str, folder: Path | None = None, progress: SilentProgress | None = None
) -> Path:
    (path,) = fetch_files([name], folder, progress=progress)
    return path


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "net").glob("*"))


def test_a_file_is_fetched_once(server: LocalServer, table: Table, folder: Path) -> None:
    table(server.answer("/net", BODY))
    path = fetch_file("net", folder)
    assert path.read_bytes() == BODY
    assert (
        path
        == folder / "net" / "net.bin"
        == fetch_file("net", folder)
        == find_weights("net", folder)
    )
    assert len(server.requests) == 1
    assert files_of(folder) == ["net.bin"]


def test_a_fetch_that_the_user_stops_is_continued(
    server: LocalServer, table: Table, folder: Path
) -> None:
    table(server.answer("/net", BODY))
    with pytest.raises(InterruptedRunError, match="what has come is kept"):
        fetch_file("net", folder, Listener(patience=2 * CHUNK))
    assert not (folder / "net" / "net.bin").exists()
    assert fetch_file("net", folder).read_bytes() == BODY
    (kept,) = [asked for asked in server.asked("Range") if asked]
    assert int(kept.removeprefix("bytes=").removesuffix("-")) >= CHUNK


def test_mirrors_are_tried_in_order(server: LocalServer, table: Table, folder: Path) -> None:
    table(server.answer("/gone", status=404), server.answer("/net", BODY), server.url + "/third")
    listener = Listener()
    assert fetch_file("net", folder, listener).read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/gone", "/net"]
    assert "it answers 404" in listener.notes[0]


def test_a_wrong_hash_is_never_kept(server: LocalServer, table: Table, folder: Path) -> None:
    table(server.answer("/forged", OTHER), server.answer("/net", BODY))
    listener = Listener()
    assert fetch_file("net", folder, listener).read_bytes() == BODY
    assert f"sha256 must be {sha256_of(BODY)}, got {sha256_of(OTHER)}" in listener.notes[0]


def test_every_mirrors_reason_is_told_when_none_gives_the_file(
    server: LocalServer, table: Table, folder: Path
) -> None:
    table(server.answer("/forged", OTHER), server.answer("/gone", status=404))
    with pytest.raises(
        WeightsMissingError, match=r"sha256 must be .*; 127\.0\.0\.1: it answers 404"
    ) as caught:
        fetch_file("net", folder)
    assert "dancelcm models fetch net --from FOLDER" in caught.value.hint
    assert files_of(folder) == []


def test_one_mirror_continues_what_another_began(
    server: LocalServer, table: Table, folder: Path
) -> None:
    server.answer("/weak", BODY, breaks_after=2 * CHUNK)
    table(server.answer("/weak", status=404), server.answer("/net", BODY))
    assert fetch_file("net", folder).read_bytes() == BODY
    assert server.asked("Range") == [None] + 2 * [f"bytes={2 * CHUNK}-"]


def test_a_good_mirror_does_not_suffer_from_a_bad_beginning(
    server: LocalServer, table: Table, folder: Path
) -> None:
    server.answer("/forged", OTHER, breaks_after=2 * CHUNK)
    table(server.answer("/forged", status=404), server.answer("/net", BODY))
    assert fetch_file("net", folder).read_bytes() == BODY
    assert files_of(folder) == ["net.bin"]


def test_an_unknown_hash_is_recorded_and_said(
    server: LocalServer, table: Table, folder: Path
) -> None:
    table(server.answer("/net", BODY), sha256=None)
    listener = Listener()
    fetch_file("net", folder, listener)
    assert sha256_of(BODY) in listener.notes[0]
    assert json.loads((folder / "hashes.json").read_text())["net"]["sha256"] == sha256_of(BODY)


def test_a_recorded_hash_outlives_its_file(server: LocalServer, table: Table, folder: Path) -> None:
    table(server.answer("/net", BODY), sha256=None)
    fetch_file("net", folder).unlink()
    table(server.answer("/changed", OTHER), sha256=None)
    with pytest.raises(WeightsMissingError, match="sha256 must be"):
        fetch_file("net", folder)
    assert files_of(folder) == []


def test_mirrors_are_not_mixed_when_no_hash_could_tell(
    server: LocalServer, table: Table, folder: Path
) -> None:
    server.answer("/other", OTHER, breaks_after=2 * CHUNK)
    table(server.answer("/other", status=404), server.answer("/net", BODY), sha256=None)
    assert fetch_file("net", folder).read_bytes() == BODY
    assert files_of(folder) == ["net.bin"]


def test_nothing_is_fetched_under_a_licence_that_is_not_accepted(
    server: LocalServer, table: Table, tmp_path: Path
) -> None:
    table(server.answer("/net", BODY))
    for consent in (None, lambda licence, names: False):
        with pytest.raises(ConfigError, match=r"must be accepted first: net \(MIT, https://"):
            fetch_files(["net"], tmp_path, consent=consent)
    assert server.requests == []


def test_a_licence_is_asked_for_once(server: LocalServer, table: Table, tmp_path: Path) -> None:
    asked: list[tuple[Licence, Sequence[str]]] = []

    def consent(licence: Licence, names: Sequence[str]) -> bool:
        asked.append((licence, names))
        return True

    table(server.answer("/net", BODY))
    (path,) = fetch_files(["net", "net"], tmp_path, consent=consent)
    path.unlink()
    fetch_files(["net"], tmp_path, consent=consent)
    assert asked == [(LICENCE, ["net"])]


@pytest.mark.parametrize("variable", [None, *OFFLINE_VARIABLES])
def test_offline_nothing_is_fetched_and_what_is_missing_is_named(
    server: LocalServer,
    table: Table,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
) -> None:
    if variable is not None:
        monkeypatch.setenv(variable, "1")
    table(server.answer("/net", BODY))
    with pytest.raises(
        WeightsMissingError, match=f"net must be in .* {variable or '--offline'}"
    ) as caught:
        fetch_files(["net"], tmp_path, offline=variable is None)
    assert caught.value.exit_code == 3
    assert server.requests == []


def test_what_is_here_needs_neither_network_nor_licence(table: Table, tmp_path: Path) -> None:
    table()
    path = tmp_path / "net" / "net.bin"
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert fetch_files(["net"], tmp_path, offline=True) == [path]


@pytest.mark.parametrize("place", ["net.bin", "net/net.bin"])
def test_files_copied_by_hand_take_the_place_of_the_network(
    table: Table, folder: Path, tmp_path: Path, place: str
) -> None:
    table()
    copy = tmp_path / "stick" / place
    copy.parent.mkdir(parents=True)
    copy.write_bytes(BODY)
    (path,) = fetch_files(["net"], folder, copies=tmp_path / "stick", offline=True)
    assert path.read_bytes() == BODY
    assert path == find_weights("net", folder)


def test_a_wrong_copy_is_refused(table: Table, folder: Path, tmp_path: Path) -> None:
    table()
    (tmp_path / "net.bin").write_bytes(OTHER)
    with pytest.raises(InputError, match=r"The sha256 of .*net\.bin must be"):
        fetch_files(["net"], folder, copies=tmp_path)
    assert files_of(folder) == []


def test_a_lacking_copy_is_named_with_its_address(
    table: Table, folder: Path, tmp_path: Path
) -> None:
    table("https://example.org/net")
    with pytest.raises(WeightsMissingError, match=r"must hold net\.bin") as caught:
        fetch_files(["net"], folder, copies=tmp_path)
    assert "https://example.org/net" in caught.value.hint


def test_a_file_larger_than_the_disk_is_not_begun(
    server: LocalServer, table: Table, folder: Path
) -> None:
    table(server.answer("/net", BODY), size=2 * shutil.disk_usage(folder).total)
    with pytest.raises(InputError, match=r"must have .* free, got"):
        fetch_file("net", folder)
    assert server.requests == []


def test_two_runs_do_not_fetch_into_one_folder(
    server: LocalServer, table: Table, folder: Path
) -> None:
    table(server.answer("/net", BODY))
    with FileLock(folder / ".lock"), pytest.raises(InputError, match="must not be in use"):
        fetch_file("net", folder)


def test_a_folder_that_cannot_be_is_refused(table: Table, tmp_path: Path) -> None:
    table("https://example.org/net")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="must be a folder that can be written to"):
        fetch_files(["net"], tmp_path / "file" / "weights", consent=lambda licence, names: True)


def test_an_unknown_name_is_refused_before_anything_is_done(table: Table, folder: Path) -> None:
    table()
    with pytest.raises(ConfigError, match="must be one of net, got 'ned'") as caught:
        fetch_files(["ned"], folder)
    assert "'net'" in caught.value.hint


@pytest.mark.parametrize("look", [find_weights, verify_file])
def test_missing_weights_say_how_to_fetch_them(
    table: Table, tmp_path: Path, look: Callable[[str, Path], object]
) -> None:
    table()
    with pytest.raises(WeightsMissingError, match=r"net\.bin \(tests\) must be in") as caught:
        look("net", tmp_path)
    assert caught.value.hint == "Type: dancelcm models fetch net"


def test_a_file_that_was_touched_is_hashed_before_it_is_used(
    server: LocalServer, table: Table, folder: Path
) -> None:
    table(server.answer("/net", BODY))
    fetch_file("net", folder).write_bytes(OTHER + b"longer")
    for look in (find_weights, verify_file, fetch_file):
        with pytest.raises(DanceLCMError, match="The sha256 of"):
            look("net", folder)


def test_verifying_finds_what_the_clock_does_not_tell(
    server: LocalServer, table: Table, folder: Path
) -> None:
    table(server.answer("/net", BODY))
    path = fetch_file("net", folder)
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="The sha256 of"):
        verify_file("net", folder)


def test_weights_in_a_folder_that_cannot_be_written_to_are_usable(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(target)

    table()
    path = tmp_path / "net" / "net.bin"
    path.parent.mkdir()
    path.write_bytes(BODY)
    monkeypatch.setattr(os, "replace", refuse)
    assert find_weights("net", tmp_path) == path


def test_the_cache_can_be_moved(
    server: LocalServer, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path))
    accept(tmp_path / "weights", LICENCE)
    table(server.answer("/net", BODY))
    assert fetch_file("net") == tmp_path / "weights" / "net" / "net.bin"


@pytest.mark.parametrize("content", ["{", "[]", '{"net": 1}', '{"net": {"sha": ""}}'])
def test_a_damaged_ledger_is_named(table: Table, folder: Path, content: str) -> None:
    table()
    (folder / "hashes.json").write_text(content)
    with pytest.raises(InputError, match=r"hashes\.json must hold what dancelcm wrote"):
        find_weights("net", folder)
