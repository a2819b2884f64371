from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.errors import InputError
from dancelcm_cli.preprocess.sources import cut_windows, find_videos, natural_key

counts = st.integers(1, 40)


@given(st.integers(0, 500), counts, counts)
def test_windows_fit_and_do_not_overlap(video_frames: int, num_frames: int, stride: int) -> None:
    windows = cut_windows(video_frames, num_frames, stride)
    indices = [index for window in windows for index in window.indices]
    assert len(indices) == num_frames * len(windows)
    assert indices == sorted(set(indices))
    assert all(index < video_frames for index in indices)


@given(st.integers(0, 500), counts, counts)
def test_no_further_window_would_fit(video_frames: int, num_frames: int, stride: int) -> None:
    windows = cut_windows(video_frames, num_frames, stride)
    next_start = len(windows) * num_frames * stride
    assert next_start + (num_frames - 1) * stride >= video_frames


def test_a_window_needs_no_frames_behind_its_last() -> None:
    assert [window.start for window in cut_windows(13, 4, 2)] == [0]
    assert [list(window.indices) for window in cut_windows(15, 4, 2)] == [
        [0, 2, 4, 6],
        [8, 10, 12, 14],
    ]
    assert str(cut_windows(7, 4, 2)[0]) == "frames 0 to 6"


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


def test_one_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "dance").touch()
    assert [source.name for source in find_videos(tmp_path / "dance")] == ["dance"]


def test_a_folder_without_videos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got none"):
        find_videos(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        find_videos(tmp_path / "nowhere")
