"""The test videos of each data set, wherever it lies on this machine.

dance    rendered dancers, held out from training, bundled with the toolkit
ubc      UBC Fashion, the 100 test videos (Zablotskaia et al. 2019)
tiktok   TikTok (Jafarian & Park 2021), the ten test videos of DisCo or a public substitute
folder   any folder of videos or of frame folders
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate import tiktok, ubc
from dancelcm_cli.evaluate.foreign_names import read_lines, require_name
from dancelcm_cli.evaluate.protocol import Frame, Geometry
from dancelcm_cli.evaluate.sources import FrameSource, Split, list_sources

DATASETS = ("dance", "ubc", "tiktok", "folder")

_DANCE_NOTE = "Rendered dancers: no paper reports numbers on these videos."
_FOLDER_NOTE = "Videos of your own: no paper reports numbers on them."


@dataclass(frozen=True)
class TestVideo:
    """A video to be predicted from one of its frames and its own motion.

    `indices` are the frames of `truth` that are predicted and scored; None is all of them.
    """

    __test__ = False  # it is no test case, whatever pytest thinks of its name

    name: str
    truth: FrameSource
    driving: Path  # the motion: a video file or a folder of pictures
    reference_index: int = 0
    indices: Sequence[int] | None = None

    @property
    def scored_indices(self) -> Sequence[int]:
        """The indices of the frames that are predicted and scored."""
        return range(self.truth.num_frames) if self.indices is None else self.indices

    @property
    def reference(self) -> Frame:
        """The frame (H, W, 3) that the others are predicted from, uint8 RGB."""
        (frame,) = self.truth.frames([self.reference_index])
        return frame


@dataclass(frozen=True)
class _Published:
    """A data set that everybody has to download, with its reader."""

    read: Callable[[Path, Sequence[str]], Split | None]
    geometry: Geometry
    how_to_get: str


_PUBLISHED = {
    "ubc": _Published(ubc.read_ubc, "squash", ubc.HOW_TO_GET),
    "tiktok": _Published(tiktok.read_tiktok, "square-crop", tiktok.HOW_TO_GET),
}


@dataclass(frozen=True)
class Dataset:
    """The test videos of a data set, and what a reader of its numbers has to know."""

    name: str
    split: str
    root: Path
    videos: tuple[TestVideo, ...]
    geometry: Geometry
    notes: tuple[str, ...] = ()


def open_dataset(
    name: str, data: Path | None, truth: Path | None = None, ids: Path | None = None
) -> Dataset:
    """Return the test videos of the data set called `name`.

    Args:
        name: One of `DATASETS`.
        data: The data set's folder; None looks in `$DANCELCM_DATA/NAME` and `datasets/NAME`, and
            takes the bundled videos for "dance".
        truth: The folder of the true videos of "folder".
        ids: A text file with the names of the videos to take in place of the usual ones.

    Raises:
        InputError: The name is unknown, the data set is not there or not complete, or the name of
            a video leads out of its folder.
    """
    if truth is not None and name != "folder":
        raise InputError(
            f"The true videos of {name} must be its own, got {truth}.",
            hint=f"Use `--dataset folder --truth {truth}`, or `--data` for the place of {name}.",
        )
    wanted = () if ids is None else _read_ids(ids)
    if name == "dance":
        # The dancers fill portrait frames: a square crop would cut their feet.
        root = data or bundled("samples/dance")
        split = Split("held-out people and dances", list_sources(root), (_DANCE_NOTE,))
        dataset = _dataset(name, root, split, "squash")
    elif name == "folder":
        dataset = _open_folder(truth or data)
    elif name in _PUBLISHED:
        return _open_published(name, _places(name, data), wanted, ids)
    else:
        raise InputError(
            f"The data set must be one of {', '.join(DATASETS)}, got {name!r}.",
            hint="Use `--dataset folder` for videos of your own.",
        )
    return dataset if ids is None else _narrowed(dataset, wanted, ids)


def _open_folder(root: Path | None) -> Dataset:
    if root is None:
        raise InputError(
            "The true videos of data set 'folder' must be named, got nothing.",
            hint="Add `--truth FOLDER`.",
        )
    return _dataset(
        "folder", root, Split("all", list_sources(root), (_FOLDER_NOTE,)), "square-crop"
    )


def _open_published(
    name: str, places: Sequence[Path], wanted: Sequence[str], ids: Path | None
) -> Dataset:
    published = _PUBLISHED[name]
    for place in places:
        split = published.read(place, wanted)
        if split is not None:
            if ids is not None:
                split = Split(_custom(ids), split.sources, (*split.notes, _custom_note(ids)))
            return _dataset(name, place, split, published.geometry)
    raise InputError(
        f"The test videos of {name} must be on this machine, but they are not in"
        f" {' or '.join(map(str, places))}.",
        hint=published.how_to_get,
    )


def _dataset(name: str, root: Path, split: Split, geometry: Geometry) -> Dataset:
    for video in split.sources:
        require_name(video, root)
    videos = (TestVideo(name, source, source.path) for name, source in split.sources.items())
    return Dataset(name, split.label, root, tuple(videos), geometry, split.notes)


def _read_ids(path: Path) -> tuple[str, ...]:
    """Return the names in a text file, one a line."""
    if not path.is_file():
        raise InputError(f"--ids must be a text file, got {path}.", hint="Write a name a line.")
    names = tuple(dict.fromkeys(read_lines(path)))
    if not names:
        raise InputError(f"{path} must name videos, got none.", hint="Write a name a line.")
    for name in names:
        require_name(name, path)
    return names


def _narrowed(dataset: Dataset, names: Sequence[str], ids: Path) -> Dataset:
    videos = {video.name: video for video in dataset.videos}
    missing = [name for name in names if name not in videos]
    if missing:
        raise InputError(
            f"{dataset.root} must hold the videos of {ids}, but it lacks {', '.join(missing)}.",
            hint=f"There are {', '.join(videos)}.",
        )
    chosen = tuple(videos[name] for name in names)
    return replace(dataset, videos=chosen, split=_custom(ids))


def _custom(ids: Path) -> str:
    return f"custom ({ids.name})"


def _custom_note(ids: Path) -> str:
    return f"The videos of {ids.name}: papers report numbers on other ones."


def _places(name: str, data: Path | None) -> list[Path]:
    if data is not None:
        return [data]
    folder = os.environ.get("DANCELCM_DATA")
    return [*([Path(folder) / name] if folder else []), Path("datasets") / name]
