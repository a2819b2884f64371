"""Other people's pickled numpy arrays, read without running anything of theirs."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.errors import InputError

# All that a pickle of arrays names. The module of `_reconstruct` differs from numpy 1 to 2.
_ALLOWED: Mapping[str, Any] = {
    "_reconstruct": np.empty(0).__reduce__()[0],
    "ndarray": np.ndarray,
    "dtype": np.dtype,
}
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


def read_pickled_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a pickled tree of dictionaries, by their path in it, such as "a/b/c".

    Raises:
        InputError: Something else than arrays is in it, or it is damaged.
    """
    try:
        _refuse_far_memos(content)
        tree = _ArrayUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle may say anything to numpy
        raise _refused(str(error) or type(error).__name__) from error
    arrays: dict[str, NDArray[Any]] = {}
    _collect(tree, "", arrays)
    return arrays


def _refuse_far_memos(content: bytes) -> None:
    """Refuse a pickle that keeps something at a place beyond its length: the table is filled up."""
    for instruction, argument, _ in pickletools.genops(content):
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > len(content):
            raise ValueError(f"it keeps something at {argument:,}")


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES and name in _ALLOWED:
            return _ALLOWED[name]
        raise pickle.UnpicklingError(f"it would import {module}.{name}")


def _collect(tree: object, path: str, arrays: dict[str, NDArray[Any]]) -> None:
    if isinstance(tree, np.ndarray):
        arrays[path] = tree
    elif isinstance(tree, dict):
        for name, branch in tree.items():
            _collect(branch, f"{path}/{name}" if path else str(name), arrays)
    else:
        raise _refused(f"there is a {type(tree).__name__} in it")


def _refused(reason: str) -> InputError:
    return InputError(
        f"A pickle of arrays must hold nothing else, but {reason}.",
        hint="Nothing of it was run. Fetch it again from where it was published.",
    )
