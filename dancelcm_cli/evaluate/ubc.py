"""The test videos of UBC Fashion (Zablotskaia et al. 2019), in every form in which they lie about.

fashion_test.txt beside test/, videos/ or the files     the published list, one address a line
test/NAME.mp4, also in UBC_fashion/ or UBC_dataset/     what the usual download scripts leave
UBC_Fashion_Dataset/valid/NAME.mp4/frame_0.png          DreamPose's frames, in folders named so
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.foreign_names import read_lines
from dancelcm_cli.evaluate.sources import FrameSource, Split, VideoFile, list_sources

_SITE = "https://vision.cs.ubc.ca/datasets/fashion/"
HOW_TO_GET = (
    f"Download the videos listed in {_SITE}resources/fashion_dataset/fashion_test.txt into"
    " datasets/ubc/test, or name their folder with --data."
)
_GEOMETRY = (
    "UBC: no paper says at which size and geometry it measured; here all of a frame is squeezed"
    " into a square."
)
_CUT_SUFFIX = ".mp"  # left by a script that takes the last letter of the list for a line end
_LISTING = "fashion_test.txt"
_ROOTS = ("", "fashionvideo", "UBC_fashion", "UBC_dataset", "UBC_Fashion_Dataset")
_SHOWN = 5  # names in a message


def read_ubc(root: Path, ids: Sequence[str] = ()) -> Split | None:
    """Read the videos that `fashion_test.txt` lists, or else all of a `test` folder; or else `ids`.

    Returns:
        None where there is neither list nor folder.

    Raises:
        InputError: A video of the list, or of `ids`, is missing, or there are no videos at all.
    """
    for place in (root / inside for inside in _ROOTS):
        if (place / _LISTING).is_file():
            listed = [_video_name(line) for line in read_lines(place / _LISTING)]
            return _picked(_video_folder(place), ids or listed, place / _LISTING)
    for folder in _test_folders(root):
        if folder.is_dir():
            return _picked(folder, ids, None)
    return None


def _test_folders(root: Path) -> Iterator[Path]:
    for name in ("test", "valid"):
        yield from (root / inside / name for inside in _ROOTS)


def _video_folder(place: Path) -> Path:
    folders = (place / "test", place / "videos")
    return next((folder for folder in folders if folder.is_dir()), place)


def _video_name(address: str) -> str:
    return Path(unquote(address.rsplit("/", 1)[-1])).stem


def _picked(folder: Path, names: Sequence[str], listing: Path | None) -> Split:
    """Return the videos `names` in `folder`, all of them where none are named."""
    present, notes = _sources(folder)
    missing = [name for name in names if name not in present]
    if missing:
        more = ", ..." if len(missing) > _SHOWN else ""
        raise InputError(
            f"{folder} must hold the {len(names)} videos of"
            f" {'the list' if listing is None else listing.name}, but {len(missing)} are missing:"
            f" {', '.join(missing[:_SHOWN])}{more}.",
            hint="Download them, or list fewer for a smaller test.",
        )
    label = folder.name if folder.name == "valid" else "test"
    return Split(label, {name: present[name] for name in names or present}, notes)


def _sources(folder: Path) -> tuple[dict[str, FrameSource], tuple[str, ...]]:
    """Return the videos of `folder`, those with a cut-off name, too, and what to say of these."""
    cut = sorted(path for path in folder.iterdir() if path.suffix == _CUT_SUFFIX and path.is_file())
    others = sum(not path.name.startswith(".") for path in folder.iterdir()) - len(cut)
    sources = {} if cut and not others else list_sources(folder)
    sources |= {unquote(path.stem): VideoFile(path) for path in cut}
    # A downloader may have kept the address's escapes: `A1F1j%2BkNaDS.mp4`.
    named = {unquote(name): source for name, source in sources.items()}
    note = (
        f"UBC: the name of {', '.join(path.name for path in cut)} is cut off; it is read as .mp4."
    )
    return dict(sorted(named.items())), (_GEOMETRY, *([note] if cut else []))
