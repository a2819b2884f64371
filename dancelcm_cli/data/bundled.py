"""Where the models and samples that come with the toolkit lie."""

from __future__ import annotations

from pathlib import Path

from dancelcm_cli.errors import WeightsMissingError

_PACKAGE = Path(__file__).parents[1]
# An installed wheel carries its assets inside the package, a checkout has them beside it.
ASSETS = (_PACKAGE / "assets", _PACKAGE.parent / "assets")


def bundled(name: str) -> Path:
    """Return the bundled file or folder `name`, such as "tiny/student".

    Raises:
        WeightsMissingError: this installation has no such file.
    """
    for folder in ASSETS:
        if (folder / name).exists():
            return folder / name
    raise WeightsMissingError(
        f"assets/{name} must come with dancelcm, but this installation lacks it.",
        hint="Install dancelcm again from a complete checkout or wheel, or give --model.",
    )
