"""Arrays from an .npz file of unknown origin: nothing is unpacked before its size is known."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import require_plain_file

LARGEST = 1_000_000_000  # bytes of unpacked arrays: five hours of keypoints at 30 frames/s
NUMBERS, TEXT = "biuf", "U"  # kinds of arrays; truth values count as numbers
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What zipfile, its decompressors and numpy's parser of headers raise for damaged files.
DAMAGE = (
    *(OSError, EOFError, LookupError, ValueError, TypeError, RecursionError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, tokenize.TokenError),
)


def read_arrays(path: Path, wanted: str, hint: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of numbers in an .npz file, by name; remarks in words are left out.

    Args:
        path: The file.
        wanted: What it must hold, such as "the array `keypoints`".
        hint: What to type if it does not.

    Raises:
        InputError: The file is damaged, holds something else, or unpacks to more than it should.
    """
    require_plain_file(path, f"a file that holds {wanted}", hint)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > LARGEST:
                raise ValueError(f"it must unpack to at most {LARGEST:,} bytes, got {size:,}")
            arrays = {
                member.filename.removesuffix(".npy"): _read_array(archive, member)
                for member in members
            }
    except DAMAGE as error:
        raise InputError(f"{path} must hold {wanted}, got: {error}", hint) from error
    return {name: array for name, array in arrays.items() if array.dtype.kind != TEXT}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        shape, by_columns, dtype = _read_header(file)
        content = file.read(member.file_size)
    if dtype.kind not in NUMBERS + TEXT:
        raise ValueError(f"{member.filename} holds {dtype}, which are no numbers")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{member.filename} holds {len(content)} bytes for {shape} {dtype}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"version {version} of numpy's format")
    shape, by_columns, dtype = HEADERS[version](file)
    return shape, by_columns, dtype
