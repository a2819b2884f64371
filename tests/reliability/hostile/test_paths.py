"""Names inside of files, and links inside of folders: none leads a reader or a writer out."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dancelcm_cli.animate.jobs import read_jobs
from dancelcm_cli.animate.record import Model
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.shard_files import read_index
from dancelcm_cli.data.shards import ShardReader, ShardWriter
from dancelcm_cli.data.skipped import read_skipped
from dancelcm_cli.data.tensor_files import read_folder_tensors
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.disco_tsv import unpack_table
from dancelcm_cli.evaluate.metric_weights import LPIPS_PACKAGE, convert
from dancelcm_cli.preprocess.report import write_report
from dancelcm_cli.training.run_folder import RunInputs, open_run
from tests.reliability.hostile.samples import MANIFEST, make_run, make_shards

OUTSIDE = (
    "../outside",
    "a/../../outside",
    "/etc/passwd",
    "..",
    ".",
    "sub/../..",
    "\0",
    "~/x/../..",
)


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Within, nothing in `folder` changes."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("without a line end")
    (folder / ".tmp-mine.mp4").write_text("not yours")
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    make_shards(folder)
    return folder


@pytest.mark.parametrize("place", [*OUTSIDE, "outside/a.mp4", "link/a.mp4", "link"])
@pytest.mark.parametrize("suffix", ["", ".mp4", ".gif"])
def test_no_job_of_a_table_writes_outside(
    tmp_path: Path, outside: Path, place: str, suffix: str
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "link").symlink_to(outside)
    (made / "outside").symlink_to(outside)
    table = tmp_path / "jobs.csv"
    table.write_text(f'reference,driving,output\na.jpg,b.mp4,"{place}{suffix}"\n')
    with untouched(outside):
        try:
            (job,) = read_jobs(table, made, Model(tmp_path), Recipe(), None)
        except InputError as error:
            assert str(table) in error.message or "--output" in error.message
            return
        assert job.output.resolve().is_relative_to(made.resolve())


@pytest.mark.parametrize("place", OUTSIDE)
@pytest.mark.parametrize("column", ["shard", "clip_id"])
def test_no_row_of_an_index_names_a_file_elsewhere(shards: Path, column: str, place: str) -> None:
    index = shards / "index.jsonl"
    rows = [json.loads(line) | {column: place} for line in index.read_text().splitlines()]
    index.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for read in (read_index, ShardReader):
        with pytest.raises(InputError, match=r"index\.jsonl must have the columns"):
            read(shards)


@pytest.mark.parametrize("place", [*OUTSIDE, "skipped/../../outside/precious"])
def test_no_report_shows_a_file_from_elsewhere(shards: Path, place: str) -> None:
    ledger = shards / "skipped.jsonl"
    row = {"source": "a.mp4", "reason": "no_person", "thumbnail": place}
    ledger.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match="the thumbnail must be a file of skipped/"):
        write_report(shards)


def test_no_report_shows_what_a_thumbnail_links_to(shards: Path, outside: Path) -> None:
    (thumbnail, *_) = (row.thumbnail for row in read_skipped(shards))
    assert thumbnail is not None
    (shards / thumbnail).unlink()
    (shards / thumbnail).symlink_to(outside / "precious")
    write_report(shards)
    secret = base64.b64encode((outside / "precious").read_bytes()).decode()
    assert secret not in (shards / "report.html").read_text()


@pytest.mark.parametrize(
    "name", ["index.jsonl", "skipped.jsonl", "sources.jsonl", ".pending", "skipped", ".lock"]
)
def test_no_link_in_a_shard_folder_is_written_through(
    shards: Path, outside: Path, name: str
) -> None:
    path = shards / name
    target = outside if name in (".pending", "skipped") else outside / "precious"
    if path.is_dir():
        path.rename(shards / "moved")
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    with untouched(outside), pytest.raises(InputError, match=f"got a link: {name}"):
        ShardWriter(shards, "", MANIFEST, 1 << 20)


@pytest.mark.parametrize("name", ["checkpoints", "metrics.jsonl", "samples", "run.json", ".lock"])
def test_no_link_in_a_run_folder_is_written_through(
    tmp_path: Path, outside: Path, name: str
) -> None:
    run = tmp_path / "run"
    make_run(run)
    kept = (run / "run.json").read_bytes()
    (run / name).unlink(missing_ok=True)
    (outside / "run.json").write_bytes(kept)
    target = outside if name in ("checkpoints", "samples") else outside / "run.json"
    (run / name).symlink_to(target)
    inputs = RunInputs("train", tmp_path, None)
    with (
        untouched(outside),
        pytest.raises(InputError, match=f"got a link: {name}"),
        open_run(run, inputs, resume=True),
    ):
        pass


@pytest.mark.parametrize("place", OUTSIDE)
def test_an_index_of_weights_names_no_file_elsewhere(tmp_path: Path, place: str) -> None:
    index = {"weight_map": {"a": place}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"is damaged|must be a file of weights"):
        read_folder_tensors(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../../TiktokDance_00337_0001.png",
        "/tmp/TiktokDance_00337_0001.png",
        "TiktokDance_00337_1/../../../x.png",
        "..",
        "a\0TiktokDance_00337_0001.png",
        "x" * 300 + "TiktokDance_00337_0001.png",
        "TiktokDance_00337_0001." + "p" * 300,
    ],
)
def test_a_table_of_pictures_unpacks_into_its_own_folder(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))
    table = tmp_path / "val_images.tsv"
    table.write_text(f"{name}\t{base64.b64encode(b'picture').decode()}\n")
    before = {path for path in tmp_path.rglob("*") if tmp_path / "cache" not in path.parents}
    try:
        folder = unpack_table(table, ("00337",))
    except InputError as error:
        assert str(table) in error.message
    else:
        pictures = [path for path in folder.rglob("*") if path.is_file()]
        assert all(path.parent.name == "00337" for path in pictures)
    after = {path for path in tmp_path.rglob("*") if tmp_path / "cache" not in path.parents}
    assert after - before <= {tmp_path / "cache"}


def add_file(archive: tarfile.TarFile) -> None:
    archive.addfile(tarfile.TarInfo(LPIPS_PACKAGE.member))


def add_link(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo(LPIPS_PACKAGE.member)
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive.addfile(member)


def add_folder(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo(LPIPS_PACKAGE.member)
    member.type = tarfile.DIRTYPE
    archive.addfile(member)


def add_nothing(archive: tarfile.TarFile) -> None:
    archive.addfile(tarfile.TarInfo("../../outside"))


@pytest.mark.parametrize("add", [add_file, add_link, add_folder, add_nothing])
def test_an_archive_of_weights_is_never_unpacked(
    tmp_path: Path, add: Callable[[tarfile.TarFile], None]
) -> None:
    path = tmp_path / "package.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive)
    with pytest.raises(InputError, match="must hold"):
        convert(path, LPIPS_PACKAGE)
    assert list(tmp_path.iterdir()) == [path]
