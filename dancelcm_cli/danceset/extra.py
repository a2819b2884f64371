"""The packages that only the dance set needs: the extra `danceset`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dancelcm_cli.errors import InputError

PACKAGES = ("anny", "moderngl")


def require_extra() -> None:
    """Return if the extra is installed; it is not imported.

    Raises:
        InputError: A package is missing.
    """
    for name in PACKAGES:
        package_folder(name)


def package_folder(name: str) -> Path:
    """Return the folder of the package `name`.

    Raises:
        InputError: It is missing.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise InputError(
            f"The package {name} must be installed to render a dance set, but it is missing.",
            hint='pip install "dancelcm[danceset]"',
        )
    return Path(spec.origin).parent
