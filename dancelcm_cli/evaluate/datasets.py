"""The test videos of each data set, wherever it lies on this machine.

dance    rendered dancers, held out from training, bundled with the toolkit
ubc      UBC Fashion, the 100 test videos (Zablotskaia et al. 2019)
tiktok   TikTok (Jafarian & Park 2021), the ten test videos of DisCo or a public substitute
folder   any folder of videos or of frame folders
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.protocol import Geometry
from dancelcm_cli.evaluate.sources import (
    FrameSource,
    PictureFolder,
    list_pictures,
    list_sources,
)

DATASETS = ("dance", "ubc", "tiktok", "folder")

# The test split of DisCo, which the papers follow: two videos of the public set, eight of its own.
# The list is from third-party training code; DisCo's documents do not give it.
DISCO_TEST_IDS = (
    "00337",
    "00338",
    "201_002_1x1",
    "201_005_1x1",
    "201_021_1x1",
    "201_024_1x1",
    "202_006_1x1",
    "202_007_1x1",
    "202_025_1x1",
    "203_006_1x1",
)
PUBLIC_TEST_IDS = tuple(f"{number:05d}" for number in range(335, 341))

_UBC_SITE = "https://vision.cs.ubc.ca/datasets/fashion/"
_HOW_TO_GET = {
    "ubc": f"Download the videos listed in {_UBC_SITE}resources/fashion_dataset/fashion_test.txt"
    " into datasets/ubc/test, or name their folder with --data.",
    "tiktok": "Get it from https://www.yasamin.page/hdnet_tiktok (or Kaggle:"
    " yasaminjafarian/tiktokdataset) and unpack it into datasets/tiktok, or name its folder with"
    " --data. DisCo's ten test videos: TikTok-v4 of github.com/Boese0601/MagicDance.",
}


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
    indices: range | None = None

    @property
    def scored_indices(self) -> range:
        """The indices of the frames that are predicted and scored."""
        return range(self.truth.num_frames) if self.indices is None else self.indices


@dataclass(frozen=True)
class Dataset:
    """The test videos of a data set, and what a reader of its numbers has to know."""

    name: str
    split: str
    root: Path
    videos: tuple[TestVideo, ...]
    geometry: Geometry
    notes: tuple[str, ...] = ()


def open_dataset(name: str, data: Path | None, truth: Path | None = None) -> Dataset:
    """Return the test videos of the data set called `name`.

    Args:
        name: One of `DATASETS`.
        data: The data set's folder; None looks in `$DANCELCM_DATA/NAME` and `datasets/NAME`, and
            takes the bundled videos for "dance".
        truth: The folder of the true videos of "folder".

    Raises:
        InputError: The name is unknown, or the data set is not there or not complete.
    """
    if truth is not None and name != "folder":
        raise InputError(
            f"The true videos of {name} must be its own, got {truth}.",
            hint=f"Use `--dataset folder --truth {truth}`, or `--data` for the place of {name}.",
        )
    if name == "dance":
        return _open_dance(data if data is not None else bundled("samples/dance"))
    if name == "folder":
        return _open_folder(truth or data)
    if name not in DATASETS:
        raise InputError(
            f"The data set must be one of {', '.join(DATASETS)}, got {name!r}.",
            hint="Use `--dataset folder` for videos of your own.",
        )
    places = _places(name, data)
    reader = _read_ubc if name == "ubc" else _read_tiktok
    for place in places:
        dataset = reader(place)
        if dataset is not None:
            return dataset
    raise InputError(
        f"The test videos of {name} must be on this machine, but they are not in"
        f" {' or '.join(map(str, places))}.",
        hint=_HOW_TO_GET[name],
    )


def _open_dance(root: Path) -> Dataset:
    return Dataset(
        name="dance",
        split="held-out people and dances",
        root=root,
        videos=_test_videos(list_sources(root)),
        geometry="squash",  # the dancers fill portrait frames: a square crop would cut their feet
        notes=("Rendered dancers: no paper reports numbers on these videos.",),
    )


def _open_folder(root: Path | None) -> Dataset:
    if root is None:
        raise InputError(
            "The true videos of data set 'folder' must be named, got nothing.",
            hint="Add `--truth FOLDER`.",
        )
    return Dataset(
        name="folder",
        split="all",
        root=root,
        videos=_test_videos(list_sources(root)),
        geometry="square-crop",
        notes=("Videos of your own: no paper reports numbers on them.",),
    )


def _read_ubc(root: Path) -> Dataset | None:
    """Read `fashion_test.txt` with its videos, or else all videos of `test`."""
    listing = root / "fashion_test.txt"
    if listing.is_file():
        videos = _read_ubc_listing(listing)
    else:
        folders = [root / "test", root / "UBC_fashion" / "test", root / "UBC_dataset" / "test"]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            return None
        videos = list_sources(folder)
    return Dataset(
        name="ubc",
        split="test",
        root=root,
        videos=_test_videos(videos),
        geometry="squash",
        notes=(
            "UBC: no paper says at which size and geometry it measured;"
            " here all of a frame is squeezed into a square.",
        ),
    )


def _read_ubc_listing(listing: Path) -> dict[str, FrameSource]:
    """Return the videos that `listing` names, one address a line."""
    lines = listing.read_text(encoding="utf-8").split()
    names = [Path(unquote(line.rsplit("/", 1)[-1])).stem for line in lines]
    folders = [listing.parent / "test", listing.parent / "videos"]
    folder = next((folder for folder in folders if folder.is_dir()), listing.parent)
    present = list_sources(folder)
    missing = [name for name in names if name not in present]
    if missing:
        raise InputError(
            f"{folder} must hold the {len(names)} videos of {listing.name},"
            f" but {len(missing)} are missing: {_some(missing)}.",
            hint=f"Download them, or take their lines out of {listing} for a smaller test.",
        )
    return {name: present[name] for name in names}


def _read_tiktok(root: Path) -> Dataset | None:
    """Read DisCo's ten videos if they are all there, else the public substitute."""
    inside = ("TikTok_dataset", "TikTok_dataset/TikTok_dataset", "disco_test_set")
    places = [root, *(root / name for name in (*inside, "TikTok-v4/disco_test_set"))]
    for place in places:
        sources = _tiktok_sources(place, DISCO_TEST_IDS)
        if len(sources) == len(DISCO_TEST_IDS):
            return Dataset("tiktok", "disco10", root, _test_videos(sources), "square-crop")
    for place in places:
        sources = _tiktok_sources(place, PUBLIC_TEST_IDS)
        if len(sources) == len(PUBLIC_TEST_IDS):
            note = (
                "TikTok split public335-340: a substitute for the ten test videos of the papers,"
                " which are not all on this machine."
            )
            return Dataset(
                "tiktok", "public335-340", root, _test_videos(sources), "square-crop", (note,)
            )
    return None


def _tiktok_sources(place: Path, ids: tuple[str, ...]) -> dict[str, FrameSource]:
    """Return those of the videos `ids` whose frames lie in `place`/ID/images or `place`/ID."""
    sources: dict[str, FrameSource] = {}
    for video_id in ids:
        for folder in (place / video_id / "images", place / video_id):
            pictures = list_pictures(folder) if folder.is_dir() else ()
            if pictures:
                sources[video_id] = PictureFolder(folder, pictures)
                break
    return sources


def _test_videos(sources: dict[str, FrameSource]) -> tuple[TestVideo, ...]:
    return tuple(TestVideo(name, source, source.path) for name, source in sources.items())


def _places(name: str, data: Path | None) -> list[Path]:
    if data is not None:
        return [data]
    folder = os.environ.get("DANCELCM_DATA")
    return [*([Path(folder) / name] if folder else []), Path("datasets") / name]


def _some(names: list[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
