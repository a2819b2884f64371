"""Every form in which people have TikTok's test videos, made small."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import open_dataset
from dancelcm_cli.evaluate.generation import generate_predictions
from dancelcm_cli.evaluate.sources import list_sources
from dancelcm_cli.evaluate.tiktok import DISCO_TEST_IDS, read_tiktok

Make = Callable[..., list[np.ndarray]]
IDS = DISCO_TEST_IDS


def encoded(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "PNG")
    return content.getvalue()


def write_table(path: Path, videos: dict[str, list[np.ndarray]]) -> None:
    """A table as DisCo has them: `TiktokDance_00337_0001.png <tab> base64`."""
    path.parent.mkdir(parents=True)
    lines = [
        f"TiktokDance_{video}_{number:04d}.png\t{base64.b64encode(encoded(frame)).decode()}\n"
        for video, frames in videos.items()
        for number, frame in enumerate(frames, 1)
    ]
    path.write_text("".join(lines))


@pytest.fixture
def videos(make_frames: Make) -> dict[str, list[np.ndarray]]:
    return {
        name: make_frames(2, height=8, width=8, seed=seed)
        for seed, name in enumerate((*IDS, "00012"))
    }


def test_discos_tables_are_unpacked_byte_for_byte(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    table = tmp_path / "TikTokDance" / "new10val_TiktokDance_images.tsv"
    write_table(table, videos)
    dataset = open_dataset("tiktok", tmp_path)
    assert (dataset.split, [video.name for video in dataset.videos]) == ("disco10", list(IDS))
    for video in dataset.videos:
        (first, _) = video.truth.frames(range(2))
        assert (first == videos[video.name][0]).all()
        assert {path.parent for path in video.truth.pictures} == {video.driving}
    assert open_dataset("tiktok", tmp_path) == dataset  # unpacked once


def test_a_damaged_table_is_refused_by_its_line(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    table = tmp_path / "TikTokDance" / "new10val_TiktokDance_images.tsv"
    write_table(table, videos)
    table.write_bytes(table.read_bytes()[:-3])
    with pytest.raises(InputError, match="Line 22 of"):
        read_tiktok(tmp_path)


@pytest.mark.parametrize("inside", ["disco_test_set", "TikTok-v4/disco_test_set"])
def test_magicdances_folders_are_read(
    tmp_path: Path, inside: str, write_frames: Callable[..., Path], make_frames: Make
) -> None:
    for name in (*IDS, "00012"):
        write_frames(tmp_path / inside / name, make_frames(2, height=8, width=8))
        write_frames(tmp_path / inside.replace("disco", "pose_map_disco") / name, make_frames(2))
    split = read_tiktok(tmp_path)
    assert split is not None
    assert (split.label, list(split.sources)) == ("disco10", list(IDS))


def write_flat(folder: Path, videos: dict[str, list[np.ndarray]]) -> Path:
    """Frames as DisCo's evaluation writes them: the key's dot is gone."""
    folder.mkdir(parents=True)
    for video, frames in videos.items():
        for number, frame in enumerate(frames, 1):
            kind = "jpg" if video.endswith("1x1") else "png"
            Image.fromarray(frame).save(folder / f"TiktokDance_{video}_{number:05d}{kind}.png")
    return folder


def test_discos_own_outputs_are_truth_and_predictions(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    write_flat(tmp_path / "gt", videos)
    split = read_tiktok(tmp_path)
    assert split is not None
    assert (split.label, list(split.sources)) == ("disco10", list(IDS))
    shown = list_sources(write_flat(tmp_path / "pred_gs1.5", videos))
    assert shown.keys() == videos.keys()
    for name, source in shown.items():
        assert source.numbers == (1, 2)
        frames = list(source.frames(range(2)))
        assert (np.array(frames) == np.array(videos[name])).all()


def test_flat_frames_are_no_place_to_animate_from(
    tmp_path: Path, videos: dict[str, list[np.ndarray]]
) -> None:
    write_flat(tmp_path / "gt", videos)
    dataset = open_dataset("tiktok", tmp_path)
    with pytest.raises(InputError, match="folder of its own"):
        generate_predictions(dataset.videos, None, tmp_path / "out", None)


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("TiktokDance_00337_0133png.png", "00337"),
        ("TiktokDance_203_006_1x1_00348jpg.png", "203_006_1x1"),
        ("201_002_1x1__00012xjpg.png", "201_002_1x1"),
        ("S001C001P001R001A055_0007jpg.png", "S001C001P001R001A055"),
    ],
)
def test_every_name_of_discos_is_told_apart(tmp_path: Path, name: str, video: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert list(list_sources(tmp_path)) == [video]
