from collections.abc import Callable
from pathlib import Path

import pytest

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import Dataset, open_dataset
from dancelcm_cli.evaluate.tiktok import DISCO_TEST_IDS, PUBLIC_TEST_IDS

Frames = Callable[..., list]
Write = Callable[..., Path]


@pytest.fixture
def put(write_frames: Write, make_frames: Frames) -> Callable[[Path], Path]:
    """Write a video of two frames as a folder of pictures."""
    return lambda folder: write_frames(folder, make_frames(2, height=8, width=8))


def names(dataset: Dataset) -> list[str]:
    return [video.name for video in dataset.videos]


def test_dance_reads_videos_beside_their_annotations(tmp_path: Path, put: Write) -> None:
    put(tmp_path / "10000")
    (tmp_path / "10000.npz").touch()
    dataset = open_dataset("dance", tmp_path)
    assert names(dataset) == ["10000"]
    assert dataset.videos[0].driving == tmp_path / "10000"
    assert dataset.videos[0].reference_index == 0
    assert dataset.geometry == "squash"


@pytest.mark.parametrize("inside", ["", "TikTok_dataset", "TikTok_dataset/TikTok_dataset"])
def test_tiktok_falls_back_to_the_public_substitute_and_says_so(
    tmp_path: Path, put: Write, inside: str
) -> None:
    for video_id in (*PUBLIC_TEST_IDS, "00001"):
        put(tmp_path / inside / video_id / "images")
        put(tmp_path / inside / video_id / "masks")
    dataset = open_dataset("tiktok", tmp_path)
    assert dataset.split == "public335-340"
    assert names(dataset) == list(PUBLIC_TEST_IDS)
    assert dataset.videos[0].truth.num_frames == 2
    assert any("substitute" in note for note in dataset.notes)


def test_tiktok_takes_the_ten_videos_of_disco_where_they_are(tmp_path: Path, put: Write) -> None:
    for video_id in PUBLIC_TEST_IDS:
        put(tmp_path / "TikTok_dataset" / video_id / "images")
    for video_id in DISCO_TEST_IDS:
        put(tmp_path / "disco_test_set" / video_id)
    dataset = open_dataset("tiktok", tmp_path)
    assert (dataset.split, names(dataset)) == ("disco10", list(DISCO_TEST_IDS))
    assert len(DISCO_TEST_IDS) == 10
    assert dataset.notes == ()


def test_an_incomplete_tiktok_split_is_not_taken(tmp_path: Path, put: Write) -> None:
    for video_id in PUBLIC_TEST_IDS[:-1]:
        put(tmp_path / video_id / "images")
    with pytest.raises(InputError, match="test videos of tiktok"):
        open_dataset("tiktok", tmp_path)


def test_ubc_reads_its_test_folder(tmp_path: Path, put: Write) -> None:
    put(tmp_path / "train" / "x")
    put(tmp_path / "test" / "A1F1j+kNaDS.mp4")
    assert names(open_dataset("ubc", tmp_path)) == ["A1F1j+kNaDS"]


def test_ubc_follows_its_list_of_addresses(tmp_path: Path, put: Write) -> None:
    for name in ("A1+b.mp4", "C.mp4", "trained_on.mp4"):
        put(tmp_path / "videos" / name)
    listing = tmp_path / "fashion_test.txt"
    listing.write_text("https://example.org/v/C.mp4\nhttps://example.org/v/A1%2Bb.mp4\n")
    assert names(open_dataset("ubc", tmp_path)) == ["C", "A1+b"]
    listing.write_text("https://example.org/v/C.mp4\nhttps://example.org/v/Gone.mp4\n")
    with pytest.raises(InputError, match="1 are missing: Gone"):
        open_dataset("ubc", tmp_path)


@pytest.mark.parametrize(("name", "address"), [("ubc", "vision.cs.ubc.ca"), ("tiktok", "yasamin")])
def test_a_missing_data_set_says_where_it_was_looked_for_and_how_to_get_it(
    name: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANCELCM_DATA", "/srv/data")
    with pytest.raises(InputError) as caught:
        open_dataset(name, None)
    assert str(Path("/srv/data") / name) in caught.value.message
    assert str(Path("datasets") / name) in caught.value.message
    assert address in caught.value.hint
    assert caught.value.exit_code == 2


def test_the_usual_places_are_searched_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: Write
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANCELCM_DATA", str(tmp_path / "store"))
    put(tmp_path / "datasets" / "ubc" / "test" / "here")
    assert names(open_dataset("ubc", None)) == ["here"]
    put(tmp_path / "store" / "ubc" / "test" / "there")
    assert names(open_dataset("ubc", None)) == ["there"]


def test_unknown_names_and_a_folder_without_a_place_are_refused() -> None:
    with pytest.raises(InputError, match="must be one of dance, ubc, tiktok, folder, got 'ntu'"):
        open_dataset("ntu", None)
    with pytest.raises(InputError, match="must be named") as caught:
        open_dataset("folder", None)
    assert "--truth" in caught.value.hint


def test_ids_pick_videos_and_label_the_split(tmp_path: Path, put: Write) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / "truth" / name)
    ids = tmp_path / "hard.txt"
    ids.write_text("c\na\n")
    dataset = open_dataset("folder", None, tmp_path / "truth", ids)
    assert (dataset.split, names(dataset)) == ("custom (hard.txt)", ["c", "a"])
    ids.write_text("c\nz\n")
    with pytest.raises(InputError, match="lacks z"):
        open_dataset("folder", None, tmp_path / "truth", ids)
    ids.write_text("\n")
    with pytest.raises(InputError, match="must name videos, got none"):
        open_dataset("dance", None, None, ids)


def test_ids_reach_videos_outside_the_usual_splits(tmp_path: Path, put: Write) -> None:
    put(tmp_path / "tiktok" / "00012" / "images")
    put(tmp_path / "ubc" / "train" / "X")
    put(tmp_path / "ubc" / "test" / "Y")
    put(tmp_path / "ubc" / "test" / "Z")
    ids = tmp_path / "ids.txt"
    ids.write_text("00012")
    assert names(open_dataset("tiktok", tmp_path / "tiktok", None, ids)) == ["00012"]
    ids.write_text("Z")
    dataset = open_dataset("ubc", tmp_path / "ubc", None, ids)
    assert (dataset.split, names(dataset)) == ("custom (ids.txt)", ["Z"])


def test_a_custom_split_is_told_not_to_be_the_papers(tmp_path: Path, put: Write) -> None:
    for video_id in DISCO_TEST_IDS:
        put(tmp_path / "disco_test_set" / video_id)
    ids = tmp_path / "ids.txt"
    ids.write_text(DISCO_TEST_IDS[0])
    assert any("ids.txt" in note for note in open_dataset("tiktok", tmp_path, None, ids).notes)


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, put: Write) -> None:
    put(tmp_path / "ubc" / "test" / "x%2F..%2F..%2Fescaped.mp4")
    with pytest.raises(InputError, match=r"got 'x/\.\./\.\./escaped'"):
        open_dataset("ubc", tmp_path / "ubc")
    put(tmp_path / "secret")
    put(tmp_path / "tiktok" / "00337")
    ids = tmp_path / "ids.txt"
    for name in ("../secret", str(tmp_path / "secret"), "..", "secret\0"):
        ids.write_text(name)
        with pytest.raises(InputError, match="file or folder alone"):
            open_dataset("tiktok", tmp_path / "tiktok", None, ids)


def test_names_with_spaces_can_be_picked(tmp_path: Path, put: Write) -> None:
    for name in ("my dance", "b"):
        put(tmp_path / "truth" / name)
    ids = tmp_path / "ids.txt"
    ids.write_text("  my dance\n")
    assert names(open_dataset("folder", None, tmp_path / "truth", ids)) == ["my dance"]
    ids.write_text("b", encoding="utf-16")
    with pytest.raises(InputError, match="UTF-8"):
        open_dataset("folder", None, tmp_path / "truth", ids)
