"""Pipes, devices, folders and circles of links where a file is expected: refused, and at once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dancelcm_cli.animate.driving import driving_sha256
from dancelcm_cli.animate.jobs import read_jobs
from dancelcm_cli.animate.keypoint_files import read_keypoints
from dancelcm_cli.animate.record import Model
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.data.checkpoints import load_best, load_latest_checkpoint
from dancelcm_cli.data.decoding import Decoder
from dancelcm_cli.data.footage import footage_sha256
from dancelcm_cli.data.images import list_pictures, read_image
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.tensor_files import read_metadata, read_tensors
from dancelcm_cli.data.weight_files import file_sha256
from dancelcm_cli.errors import DanceLCMError
from dancelcm_cli.models.lora import read_lora
from dancelcm_cli.perception.keypoints import read_annotation
from dancelcm_cli.perception.onnx_network import OnnxNetwork
from dancelcm_cli.preprocess.sources import Source, find_videos, share_of
from dancelcm_cli.preprocess.stages import fingerprint
from dancelcm_cli.preprocess.verification import verify_shards
from dancelcm_cli.progress import SilentProgress
from tests.reliability.hostile.samples import make_checkpoints, make_model, make_shards

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
PATIENCE = 300  # seconds after which a test hangs


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Wake up whoever waits for a pipe that nobody writes to."""

    def wake(number: int, frame: object) -> None:
        raise AssertionError("it hangs")

    earlier = signal.signal(signal.SIGALRM, wake)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, earlier)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def circle(path: Path) -> None:
    path.symlink_to(path)


def nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def server(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


STRANGE = (pipe, device, folder, circle, nowhere, server)
READERS: dict[str, Callable[[Path], object]] = {
    "a.png": read_image,
    "a.mp4": Decoder,
    "b.mp4": footage_sha256,
    "c.mp4": driving_sha256,
    "a.npz": read_keypoints,
    "b.npz": lambda path: read_annotation(path, 48, 32),
    "a.csv": lambda path: read_jobs(path, path.parent, Model(path), Recipe(), None),
    "a.toml": load_recipe,
    "a.safetensors": read_tensors,
    "b.safetensors": read_metadata,
    "c.safetensors": read_lora,
    "a.pth": read_tensors,
    "a.onnx": lambda path: OnnxNetwork(path, "cpu"),
    "a.bin": file_sha256,
}


@pytest.mark.parametrize("make", STRANGE)
def test_what_is_no_file_is_refused_by_every_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    for name, read in READERS.items():
        if make is folder and name in ("b.mp4", "c.mp4"):
            continue  # it may be a folder of frames
        make(Path(name))
        with pytest.raises(DanceLCMError) as caught:
            read(Path(name))
        assert name in caught.value.message
    assert list_pictures(tmp_path) == []


@pytest.mark.parametrize("make", [pipe, device, folder, circle])
@pytest.mark.parametrize(
    ("kind", "write", "read"),
    [
        ("model", make_model, load_pipeline),
        ("run", make_checkpoints, lambda path: load_latest_checkpoint(path, lambda note: None)),
        ("best", make_checkpoints, lambda path: load_best(path, until=9)),
        ("shards", make_shards, lambda path: ShardReader(path)[0]),
        ("verified", make_shards, lambda path: verify_shards(path, SilentProgress())),
        ("ledger", make_shards, lambda path: read_rows(path / "skipped.jsonl")),
    ],
)
def test_in_a_folder_of_ours_it_is_refused_or_left_out(
    tmp_path: Path,
    make: Callable[[Path], None],
    kind: str,
    write: Callable[[Path], None],
    read: Callable[[Path], object],
) -> None:
    write(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name[0] != "."]
    for path in files:
        kept = path.read_bytes()
        path.unlink()
        make(path)
        try:
            read(tmp_path)
        except DanceLCMError as error:
            assert str(tmp_path) in error.message
        except OSError as error:  # the root command tells it with the name
            assert str(tmp_path) in str(error.filename)
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            path.write_bytes(kept)


def test_among_videos_it_is_left_out_with_the_reason(tmp_path: Path) -> None:
    for make in (pipe, device, circle, nowhere):
        make(tmp_path / f"{make.__name__}.mp4")
    sources = find_videos(tmp_path)
    assert share_of(sources, 1, 1) == sources
    candidates = [fingerprint(source) for source in sources]
    assert len(candidates) == 4
    for candidate in candidates:
        assert candidate.sha256 is None
        assert candidate.source.name in candidate.error


def test_folders_that_hold_themselves_are_searched_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.mp4").write_text("no video")
    (tmp_path / "inner" / "again").symlink_to(tmp_path)
    (tmp_path / "inner" / "self").symlink_to(".")
    assert find_videos(tmp_path) == [Source("inner/a.mp4", tmp_path / "inner" / "a.mp4")]
    shutil.rmtree(tmp_path / "inner")
