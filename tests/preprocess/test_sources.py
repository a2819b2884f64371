from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.data.images import natural_key
from dancelcm_cli.errors import InputError
from dancelcm_cli.preprocess.sources import find_videos, preview_name, share_of


def test_videos_come_in_natural_order_from_any_depth(tmp_path: Path) -> None:
    names = ["clip 2.mp4", "clip 10.MP4", "more/1.mov", "more/deep/a.webm"]
    for name in [*reversed(names), "clip 2.npz", "._clip 3.mp4", "notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    assert [source.name for source in find_videos(tmp_path)] == names


@given(st.lists(st.text("ab0129²./ "), unique=True))
def test_every_set_of_names_has_one_order(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shares_are_a_partition_and_keep_copies_together(tmp_path: Path, parts: int) -> None:
    for size in range(40):
        for name in (f"{size}.mp4", f"copy of {size}.mp4"):
            (tmp_path / name).write_bytes(bytes(size))
    sources = find_videos(tmp_path)
    shares = [share_of(sources, part, parts) for part in range(1, parts + 1)]
    assert sorted(source.name for share in shares for source in share) == sorted(
        source.name for source in sources
    )
    assert all(shares)
    for share in shares:
        names = {source.name for source in share}
        assert {f"copy of {name}" for name in names if "copy" not in name} <= names


def test_one_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "dance").touch()
    assert [source.name for source in find_videos(tmp_path / "dance")] == ["dance"]


def test_a_folder_of_frames_is_one_video(tmp_path: Path) -> None:
    for name in ("dance/f2.png", "dance/f10.png", "lone/cover.jpg", "both/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("both/1.png", "both/2.png"):  # pictures beside a video are no video
        (tmp_path / name).touch()
    assert [source.name for source in find_videos(tmp_path)] == ["both/a.mp4", "dance"]
    assert [source.name for source in find_videos(tmp_path / "dance")] == ["dance"]


def test_the_preview_of_a_video_is_no_source_of_its_own(tmp_path: Path) -> None:
    for name in ("a.mov", preview_name(Path("a.mov")), "lonely-preview.mp4"):
        (tmp_path / name).touch()
    assert [source.name for source in find_videos(tmp_path)] == ["a.mov", "lonely-preview.mp4"]


def test_a_folder_without_videos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got none"):
        find_videos(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        find_videos(tmp_path / "nowhere")


def test_the_folder_that_the_user_is_in_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dance").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "dance" / name).touch()
    monkeypatch.chdir(tmp_path / "dance")
    assert [source.name for source in find_videos(Path("."))] == ["dance"]


def test_what_is_hidden_or_written_by_us_is_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = ["shards/skipped/1.jpg", "shards/skipped/2.jpg", "shards/part-00001-of-00002/b.mp4"]
    for name in ("a.mp4", "shards 2/c.mp4", ".cache/1.png", ".cache/2.png", ".old/d.mp4", *ours):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for output in (Path("shards"), tmp_path / "shards"):
        names = [source.name for source in find_videos(Path("."), output)]
        assert names == ["a.mp4", "shards 2/c.mp4"]
    inner = find_videos(Path("shards 2"), Path("."))  # the other way round nothing is ours
    assert [source.name for source in inner] == ["c.mp4"]
