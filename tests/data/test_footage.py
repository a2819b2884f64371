from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.data.footage import footage_sha256, open_footage
from dancelcm_cli.data.video import iter_frames, write_video
from dancelcm_cli.errors import InputError


def write_pictures(folder: Path, levels: list[int], size: tuple[int, int] = (16, 24)) -> Path:
    """Write pictures of one level each as f0.png, f1.png and so on."""
    folder.mkdir(exist_ok=True)
    for index, level in enumerate(levels):
        Image.new("RGB", size, (level, level, level)).save(folder / f"f{index}.png")
    return folder


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    footage = open_footage(write_pictures(tmp_path / "frames", list(range(12))), 10.0)
    assert (footage.num_frames, footage.height, footage.width, footage.fps) == (12, 24, 16, 10)
    assert footage.times.tolist() == pytest.approx([index / 10 for index in range(12)])
    assert [frame[0, 0, 0] for frame in footage.frames([2, 10, 11])] == [2, 10, 11]


def test_a_video_gives_its_own_frames_and_times(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    write_video(video, np.random.default_rng(0).integers(0, 256, (4, 24, 16, 3), np.uint8), 8)
    footage = open_footage(video, 99.0)
    assert (footage.num_frames, footage.height, footage.width, footage.fps) == (4, 24, 16, 8)
    assert footage.times.tolist() == pytest.approx([0, 1 / 8, 2 / 8, 3 / 8])
    assert (next(footage.frames([3])) == next(iter_frames(video, [3]))).all()


def test_pictures_of_two_sizes_are_refused(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "frames", [1, 2, 3])
    Image.new("RGB", (10, 10)).save(folder / "f1.png")
    with pytest.raises(InputError, match=r"must be 16 x 24 pixels, got 10 x 10 \(f1\.png\)"):
        list(open_footage(folder, 12.0).frames(range(3)))


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold pictures"):
        open_footage(tmp_path, 12.0)


def test_the_hash_is_of_the_content_and_its_order_not_of_names(tmp_path: Path) -> None:
    first = write_pictures(tmp_path / "first", [1, 2])
    second = write_pictures(tmp_path / "second", [1, 2])
    assert footage_sha256(first) == footage_sha256(second)
    (second / "f0.png").rename(second / "f2.png")
    assert footage_sha256(first) != footage_sha256(second)
    assert footage_sha256(first / "f0.png") != footage_sha256(first / "f1.png")
    with pytest.raises(InputError, match="does not exist"):
        footage_sha256(tmp_path / "nowhere.mp4")
