"""Every form in which people have UBC Fashion, made small."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.ubc import read_ubc

Make = Callable[..., list]


@pytest.fixture
def put(make_frames: Make) -> Callable[[Path], None]:
    """Write a video of two frames."""
    return lambda path: write_video(path, make_frames(2, height=16, width=16), 30)


def found(root: Path) -> tuple[str, list[str]]:
    split = read_ubc(root)
    assert split is not None
    return split.label, list(split.sources)


@pytest.mark.parametrize("root", ["", "UBC_fashion", "UBC_dataset"])
def test_the_folders_of_download_scripts_are_read(
    tmp_path: Path, put: Callable[[Path], None], root: str
) -> None:
    put(tmp_path / root / "test" / "A1F1j+kNaDS.mp4")
    put(tmp_path / root / "test" / "91iZ9x8NI0S.mp4")
    put(tmp_path / root / "test_dwpose" / "91iZ9x8NI0S.mp4")
    put(tmp_path / root / "train" / "C.mp4")
    assert found(tmp_path) == ("test", ["91iZ9x8NI0S", "A1F1j+kNaDS"])


def test_ipercores_folder_is_split_by_its_list_alone(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    root = tmp_path / "fashionvideo"
    for name in ("C.mp4", "A1F1j%2BkNaDS.mp4", "trained_on.mp4"):
        put(root / "videos" / name)
    (root / "fashion_train.txt").write_text("https://a.org/trained_on.mp4\n")
    (root / "fashion_test.txt").write_text("https://a.org/C.mp4\nhttps://a.org/A1F1j%2BkNaDS.mp4")
    assert found(tmp_path) == ("test", ["C", "A1F1j+kNaDS"])


def test_dreamposes_folders_are_called_like_videos(
    tmp_path: Path, make_frames: Make, write_frames: Callable[..., Path]
) -> None:
    root = tmp_path / "UBC_Fashion_Dataset"
    for folder in ("valid/91iZ9x8NI0S.mp4", "train-frames/C.mp4"):
        write_frames(root / folder, make_frames(2, height=8, width=8))
    assert found(tmp_path) == ("valid", ["91iZ9x8NI0S"])


def test_a_name_that_a_script_cut_off_is_read_and_told(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    put(tmp_path / "test" / "A.mp4")
    put(tmp_path / "test" / "B.mp4")
    (tmp_path / "test" / "B.mp4").rename(tmp_path / "test" / "B.mp")
    split = read_ubc(tmp_path)
    assert split is not None
    assert list(split.sources) == ["A", "B"]
    assert split.sources["B"].num_frames == 2
    assert any("B.mp is cut off" in note for note in split.notes)


def test_a_gif_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "A.gif").touch()
    with pytest.raises(InputError, match="got a gif"):
        read_ubc(tmp_path)


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match="must hold videos, got none"):
        read_ubc(tmp_path)


def test_videos_whose_names_are_all_cut_off_are_read(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    put(tmp_path / "test" / "B.mp4")
    (tmp_path / "test" / "B.mp4").rename(tmp_path / "test" / "B.mp")
    assert found(tmp_path) == ("test", ["B"])


def test_a_list_that_is_not_in_utf_8_is_refused(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    put(tmp_path / "test" / "C.mp4")
    (tmp_path / "fashion_test.txt").write_text("https://a.org/C.mp4", encoding="utf-16")
    with pytest.raises(InputError, match="UTF-8"):
        read_ubc(tmp_path)
