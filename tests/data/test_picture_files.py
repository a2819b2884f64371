from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from dancelcm_cli.data.picture_files import write_gif, write_pictures

SAID = {"comment": "synthetic media", "description": '{"seed": 3, "who": "Zoë"}'}


@pytest.fixture
def frames() -> NDArray[np.uint8]:
    """A grey room in which a red square moves to the right."""
    clip = np.full((7, 24, 40, 3), 90, np.uint8)
    for index, frame in enumerate(clip):
        frame[8:16, 4 * index : 4 * index + 8] = (220, 30, 40)
    return clip


@pytest.mark.parametrize("fps", [12, 15, 24, 30, 50])
def test_a_gif_lasts_as_long_as_the_dance(
    tmp_path: Path, frames: NDArray[np.uint8], fps: int
) -> None:
    write_gif(tmp_path / "a.gif", frames, fps, len(frames), SAID)
    with Image.open(tmp_path / "a.gif") as gif:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
    assert len(durations) == 7
    assert sum(durations) == pytest.approx(7000 / fps, abs=10)
    assert min(durations) >= 20


def test_a_gif_repeats_itself_says_what_it_is_and_looks_right(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    write_gif(tmp_path / "a.gif", iter(frames), 10, len(frames), SAID)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.info["loop"] == 0
        assert gif.info["comment"].decode() == "\n".join(SAID.values())
        for shown, frame in zip(ImageSequence.Iterator(gif), frames, strict=True):
            assert np.abs(np.asarray(shown.convert("RGB")).astype(int) - frame).max() < 8


def test_what_stands_still_does_not_flicker(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    frames[:, :, 20:] = noisy
    frames[:, :, 20:, 0] = 0
    write_gif(tmp_path / "a.gif", frames[:2], 10, 2, SAID)
    with Image.open(tmp_path / "a.gif") as gif:
        first, second = (
            np.asarray(shown.convert("RGB")).astype(int) for shown in ImageSequence.Iterator(gif)
        )
    assert (first[:4] == second[:4]).all()  # above the square nothing has changed


def test_pictures_hold_the_frames_exactly(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    folder = tmp_path / "new" / "frames"
    write_pictures(folder, iter(frames), SAID)
    assert [path.name for path in sorted(folder.iterdir())] == [f"{i:06d}.png" for i in range(7)]
    for path, frame in zip(sorted(folder.iterdir()), frames, strict=True):
        with Image.open(path) as picture:
            assert (np.asarray(picture) == frame).all()
            assert picture.text == {"Comment": SAID["comment"], "Description": SAID["description"]}


def test_a_failure_leaves_an_earlier_folder_as_it_was(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield frames[0]
        raise KeyboardInterrupt

    write_pictures(tmp_path / "frames", frames, SAID)
    with pytest.raises(KeyboardInterrupt):
        write_pictures(tmp_path / "frames", broken(), SAID)
    assert len(list((tmp_path / "frames").iterdir())) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]
