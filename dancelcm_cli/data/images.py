"""Pictures from files, whatever way they are stored."""

from __future__ import annotations

import re
import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import require_plain_file

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"}
)
WHAT_TO_GIVE = "Give a PNG or JPEG file."
# Pillow's names. It knows more, and hands some of it to other programs: EPS to Ghostscript.
KINDS = (
    *("PNG", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "JPEG2000", "TIFF", "BMP", "DIB", "GIF"),
    *("PPM", "TGA", "ICO", "QOI"),
)
# What Pillow raises for damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, struct.error)
TRANSPARENT_MODES = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the picture at `path` as (H, W, 3) uint8 RGB, upright.

    The camera's orientation is applied, transparent pixels show white, and 16-bit grey is cut to
    8 bits. Colour profiles are not applied.

    Raises:
        InputError: There is no picture there, or it is damaged, animated or larger than
            `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    _refuse_what_is_no_picture(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _open(path) as image:
                _refuse_animation(path, image)
                return _to_rgb(path, ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise InputError(
            f"{path} must have at most {limit} million pixels, got more.",
            hint="Scale the picture down; 2000 pixels on the long side are plenty.",
        ) from None
    except UnidentifiedImageError:
        raise _no_picture(path, "a file that is none") from None
    except DAMAGE as error:
        raise _no_picture(path, f"a damaged one ({error})") from error


def is_picture(path: Path) -> bool:
    """Tell whether the file `path` is a still or animated picture, by its content."""
    try:
        with warnings.catch_warnings(action="ignore"), _open(path):
            return True
    except Image.DecompressionBombError:
        return True  # reading it tells that it is too large
    except DAMAGE:
        return False


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures in `folder`, by their content, in the order of their numbers."""
    return sorted(
        (
            path
            for path in folder.iterdir()
            if path.is_file() and not path.name.startswith(".") and is_picture(path)
        ),
        key=lambda path: natural_key(path.name),
    )


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Return what to sort by so that `frame2` comes before `frame10`, and numbers before text."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    # The text stays part of the key: "2" and "02" are equal numbers but different names.
    return [(False, int(part), part) if part.isdecimal() else (True, 0, part) for part in parts]


def _open(path: Path) -> Image.Image:
    """Open a picture of one of the kinds that Pillow reads by itself."""
    Image.init()
    return Image.open(path, formats=[kind for kind in KINDS if kind in Image.OPEN])


def _to_rgb(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in SIXTEEN_BIT_MODES:
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in {"I", "F"}:
        raise InputError(
            f"{path} must have 8 or 16 bits per channel, got pixels of type {image.mode}.",
            hint="Save it as an ordinary PNG or JPEG.",
        )
    if image.mode in TRANSPARENT_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))


def _refuse_what_is_no_picture(path: Path) -> None:
    require_plain_file(path, "a picture", hint=WHAT_TO_GIVE)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise _no_picture(path, "a video")


def _refuse_animation(path: Path, image: Image.Image) -> None:
    # Cameras store a preview as the second frame of an MPO file: that is a picture all the same.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise _no_picture(path, "an animation")


def _no_picture(path: Path, found: str) -> InputError:
    return InputError(f"{path} must be a picture, got {found}.", hint=WHAT_TO_GIVE)
