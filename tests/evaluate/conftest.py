"""Tiny videos: a blurred blob of noise that moves one pixel a frame. And the metrics' weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dancelcm_cli.data.downloads import fetch_files
from dancelcm_cli.data.weight_files import CACHE_VARIABLE, weights_folder
from dancelcm_cli.errors import DanceLCMError

Frame = NDArray[np.uint8]
WriteFrames = Callable[[Path, Iterable[Frame]], Path]
MakeFrames = Callable[..., list[Frame]]


METRIC_WEIGHTS = ("i3d", "lpips-vgg")


@pytest.fixture(scope="session")
def published_weights() -> Path:
    """The folder of the metrics' weights, fetched as a user would."""
    folder = weights_folder()
    try:
        fetch_files(METRIC_WEIGHTS, folder, consent=lambda licence, names: True)
    except (DanceLCMError, OSError) as error:
        pytest.skip(f"{error} To run this, be online or type: dancelcm models fetch i3d lpips-vgg")
    return folder


@pytest.fixture(autouse=True)
def cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; one with the metrics' weights where the test is marked so."""
    folder = tmp_path / "cache"
    if request.node.get_closest_marker("weights"):
        weights = request.getfixturevalue("published_weights")
        folder.mkdir()
        (folder / "weights").symlink_to(weights)
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def make_frames() -> MakeFrames:
    def make(count: int, height: int = 24, width: int = 16, seed: int = 0) -> list[Frame]:
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1)))
        return [np.roll(picture, index, axis=1) for index in range(count)]

    return make


@pytest.fixture
def write_frames() -> WriteFrames:
    def write(folder: Path, frames: Iterable[Frame]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"{index:04d}.png")
        return folder

    return write


@pytest.fixture
def write_videos(write_frames: WriteFrames, make_frames: MakeFrames) -> Callable[..., Path]:
    def write(folder: Path, lengths: Sequence[int] = (5, 3), **settings: int) -> Path:
        for index, length in enumerate(lengths):
            write_frames(folder / f"dance{index}", make_frames(length, seed=index, **settings))
        return folder

    return write
