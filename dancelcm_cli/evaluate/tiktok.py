"""The test videos of TikTok (Jafarian & Park 2021), in every form in which they lie about.

TikTok_dataset/ID/images/0001.png     as published; the outer folder may be doubled
TikTok-v4/disco_test_set/ID/*.jpg     MagicDance's copy of DisCo's test videos
TikTokDance/new10val_*_images.tsv     DisCo's own
gt/TiktokDance_ID_0001png.png         what DisCo writes when it is evaluated
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dancelcm_cli.evaluate.disco_tsv import find_test_tables, unpack_table
from dancelcm_cli.evaluate.frame_names import by_disco_video
from dancelcm_cli.evaluate.sources import FrameSource, PictureFolder, Split, list_pictures

HOW_TO_GET = (
    "Get it from https://www.yasamin.page/hdnet_tiktok (or Kaggle: yasaminjafarian/tiktokdataset)"
    " and unpack it into datasets/tiktok, or name its folder with --data. DisCo's ten test videos:"
    " TikTok-v4 of github.com/Boese0601/MagicDance, or the TSV files of github.com/Wangt-CN/DisCo."
)
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
DISCO_SPLIT, PUBLIC_SPLIT = "disco10", "public335-340"
_SUBSTITUTE = (
    "TikTok split public335-340: a substitute for the ten test videos of the papers, which are not"
    " all on this machine."
)
_INSIDE = (
    "",
    "TikTok_dataset",
    "TikTok_dataset/TikTok_dataset",
    "disco_test_set",
    "TikTok-v4/disco_test_set",
    "gt",
)


def read_tiktok(root: Path, ids: Sequence[str] = ()) -> Split | None:
    """Read DisCo's ten videos if they are all there, else the public substitute; or else `ids`.

    Returns:
        None where not all of them are in `root`.
    """
    if ids:
        found = _find(root, ids)
        return None if found is None else Split("", found)
    for label, wanted, notes in (
        (DISCO_SPLIT, DISCO_TEST_IDS, ()),
        (PUBLIC_SPLIT, PUBLIC_TEST_IDS, (_SUBSTITUTE,)),
    ):
        found = _find(root, wanted)
        if found is not None:
            return Split(label, found, notes)
    return None


def _find(root: Path, ids: Sequence[str]) -> dict[str, FrameSource] | None:
    """Return the videos `ids` from the first place that has them all."""
    for sources in _forms(root, ids):
        if sources.keys() >= set(ids):
            return {video_id: sources[video_id] for video_id in ids}
    return None


def _forms(root: Path, ids: Sequence[str]) -> Iterator[Mapping[str, FrameSource]]:
    for inside in _INSIDE:
        yield _folders(root / inside, ids)
        yield _flat(root / inside)
    for table in find_test_tables(root):
        yield _folders(unpack_table(table, ids), ids)


def _folders(place: Path, ids: Sequence[str]) -> dict[str, FrameSource]:
    """Return those of the videos `ids` whose frames lie in `place`/ID/images or `place`/ID."""
    sources: dict[str, FrameSource] = {}
    for video_id in ids:
        for folder in (place / video_id / "images", place / video_id):
            pictures = list_pictures(folder) if folder.is_dir() else ()
            if pictures:
                sources[video_id] = PictureFolder(folder, pictures)
                break
    return sources


def _flat(place: Path) -> dict[str, FrameSource]:
    pictures = list_pictures(place) if place.is_dir() else ()
    videos = by_disco_video(pictures).items()
    return {video_id: PictureFolder(place, found) for video_id, found in videos}
