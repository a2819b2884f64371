"""Arrays that cost time, kept from one run to the next in the cache folder.

    ~/.cache/dancelcm/KIND/KEY.safetensors

A key is a hash of all that the arrays depend on. Several processes may share the folder: a file is
whole or not there, and one that another process has just removed is made again. The files used
longest ago are removed once a kind outgrows its limit, so the folder may be deleted at any time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dancelcm_cli.data.atomic import TEMPORARY_PREFIX, atomic_path
from dancelcm_cli.data.weight_files import weights_folder

Arrays = Mapping[str, NDArray[np.generic]]
LIMIT = 256_000_000  # bytes of one kind; a minute of keypoints at 30 frames/s is 3 MB
ABANDONED_SECONDS = 86_400  # after which a temporary file is nobody's


def cached_arrays(kind: str, key: str, compute: Callable[[], Arrays], limit: int = LIMIT) -> Arrays:
    """Return the arrays kept as `key`, or those that `compute` returns, and keep them.

    A cache that cannot be read or written is done without.
    """
    path = cache_folder(kind) / f"{key}.safetensors"
    with suppress(OSError, SafetensorError):  # not there, or damaged
        arrays = load_file(path)
        os.utime(path)  # used just now
        return arrays
    arrays = dict(compute())
    with suppress(OSError, SafetensorError):
        with atomic_path(path) as temporary:
            save_file({name: np.array(arrays[name], order="C") for name in arrays}, temporary)
        _shrink(path.parent, limit)
    return arrays


def cache_folder(kind: str) -> Path:
    """Return the folder of a kind of arrays, whether it exists or not."""
    return weights_folder().with_name(kind)


def _shrink(folder: Path, limit: int) -> None:
    """Remove the files used longest ago until the others take at most `limit` bytes."""
    found = []
    for path in folder.iterdir():
        with suppress(OSError):  # another process was faster
            state = path.stat()
            abandoned = time.time() - state.st_mtime > ABANDONED_SECONDS
            if not path.name.startswith(TEMPORARY_PREFIX):
                found.append((state.st_mtime_ns, state.st_size, path))
            elif abandoned:
                path.unlink()
    taken = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if taken <= limit:
            return
        with suppress(OSError):
            path.unlink()
        taken -= size
