from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.animate.driving import driving_sha256, open_clip
from dancelcm_cli.data.video import read_frames, write_video
from dancelcm_cli.errors import InputError


def test_a_video_is_read_frame_by_frame(dancer: Path) -> None:
    clip = open_clip(dancer, folder_fps=99)
    assert (clip.num_frames, clip.fps) == (24, 12)
    assert clip.times == pytest.approx(np.arange(24) / 12)
    expected, _ = read_frames(dancer, [5, 5, 2])
    assert np.array_equal(np.stack(list(clip.frames([5, 5, 2]))), expected)


def test_a_folder_of_pictures_is_a_clip_in_the_order_of_their_numbers(
    tmp_path: Path, dancer: Path
) -> None:
    frames, _ = read_frames(dancer, range(11))
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    clip = open_clip(tmp_path, folder_fps=10)
    assert (clip.num_frames, clip.fps) == (11, 10)
    assert np.array_equal(np.stack(list(clip.frames(range(11)))), frames)


def test_a_single_frame_is_no_dance(tmp_path: Path) -> None:
    frame = np.zeros((32, 32, 3), np.uint8)
    write_video(tmp_path / "still.mp4", [frame], 12)
    folder = tmp_path / "folder"
    folder.mkdir()
    Image.fromarray(frame).save(folder / "0.png")
    for still in (tmp_path / "still.mp4", folder):
        with pytest.raises(InputError, match="at least 2 frames, got 1") as caught:
            open_clip(still, folder_fps=12)
        assert caught.value.hint


def test_a_hash_depends_on_all_that_is_read(tmp_path: Path, dancer: Path) -> None:
    video = Path(shutil.copy(dancer, tmp_path / "a.mp4"))
    hashes = {driving_sha256(video)}
    shutil.copy(dancer.with_suffix(".npz"), tmp_path / "a.npz")
    hashes |= {driving_sha256(video), driving_sha256(tmp_path / "a.npz")}
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("1.png", "2.png"):
        Image.new("RGB", (2, 2)).save(folder / name)
        hashes.add(driving_sha256(folder))
    assert len(hashes) == 5
    assert driving_sha256(video) == driving_sha256(dancer)


def test_the_folder_that_the_user_is_in_has_the_hash_of_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1.png", "2.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    expected = driving_sha256(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert driving_sha256(Path(".")) == expected
