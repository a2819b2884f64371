from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.data import images
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.sources import (
    SINGLE_VIDEO,
    PickedFrames,
    content_sha256,
    list_pictures,
    list_sources,
)

Write = Callable[..., Path]


def test_videos_are_files_and_folders_of_pictures(
    tmp_path: Path, write_frames: Callable[..., Path], make_frames: Callable[..., list]
) -> None:
    write_video(tmp_path / "a.mp4", make_frames(3), 12)
    write_frames(tmp_path / "b", make_frames(4))
    write_frames(tmp_path / "c.mp4", make_frames(2))  # DreamPose calls its frame folders so
    write_frames(tmp_path / ".tmp-1", make_frames(2))
    (tmp_path / "a.npz").touch()
    (tmp_path / "notes").mkdir()
    sources = list_sources(tmp_path)
    assert {name: source.num_frames for name, source in sources.items()} == {"a": 3, "b": 4, "c": 2}
    assert [source.lossless for source in sources.values()] == [False, True, True]


def test_both_kinds_of_source_give_the_frames_asked_for(
    tmp_path: Path, write_frames: Callable[..., Path], make_frames: Callable[..., list]
) -> None:
    frames = [np.full((16, 16, 3), 60 * index, np.uint8) for index in range(5)]
    write_video(tmp_path / "a.mp4", frames, 12)
    write_frames(tmp_path / "b", frames)
    for source in list_sources(tmp_path).values():
        levels = [float(frame.mean()) for frame in source.frames(range(0, 5, 2))]
        assert levels == pytest.approx([0, 120, 240], abs=2)


def test_frames_are_ordered_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        frame = np.full((8, 8, 3), number, np.uint8)
        Image.fromarray(frame).save(tmp_path / f"frame_{number}.png")
    source = list_sources(tmp_path)[SINGLE_VIDEO]
    assert [int(frame[0, 0, 0]) for frame in source.frames(range(3))] == [1, 9, 10]


def test_a_gif_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "dance.gif").touch()
    with pytest.raises(InputError, match="got a gif") as caught:
        list_sources(tmp_path)
    assert "PNG" in caught.value.hint


def test_an_empty_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold videos, got none"):
        list_sources(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_sources(tmp_path / "nowhere")


def test_two_videos_of_one_name_are_refused(
    tmp_path: Path, write_frames: Callable[..., Path], make_frames: Callable[..., list]
) -> None:
    write_frames(tmp_path / "a", make_frames(1))
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"got a and a\.mp4"):
        list_sources(tmp_path)


@pytest.mark.parametrize("names", [("1.png", "cover.png"), ("5\u00b27.png", "6.png")])
def test_pictures_have_the_order_in_which_they_are_animated(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in reversed(names):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert [picture.name for picture in list_pictures(tmp_path)] == list(names)
    assert list(list_pictures(tmp_path)) == images.list_pictures(tmp_path)


def test_the_hash_of_a_source_is_that_of_its_content(tmp_path: Path, write_frames: Write) -> None:
    frames = [np.full((8, 8, 3), level, np.uint8) for level in (0, 100)]
    for name in ("a", "b"):
        write_frames(tmp_path / name, frames)
    one, other = (list_sources(tmp_path)[name] for name in ("a", "b"))
    before = content_sha256(one)
    assert before == content_sha256(other) == content_sha256(PickedFrames(one, (1,)))
    write_frames(tmp_path / "a", [frames[1], frames[0]])
    assert content_sha256(one) != before
