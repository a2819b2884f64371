"""What these tests need besides the toolkit: the extra `danceset`, and for pictures EGL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dancelcm_cli.danceset.extra import require_extra
from dancelcm_cli.errors import InputError

if TYPE_CHECKING:
    from dancelcm_cli.danceset.renderer import Renderer

SIZE = (192, 128)  # height and width in pixels


@pytest.fixture(scope="session", autouse=True)
def extra() -> None:
    try:
        require_extra()
    except InputError as error:
        pytest.skip(f"{error.message} {error.hint}")


@pytest.fixture(scope="session")
def renderer(extra: None) -> Renderer:
    from dancelcm_cli.danceset.renderer import Renderer

    try:
        return Renderer(*SIZE)
    except InputError as error:
        pytest.skip(f"{error.message} {error.hint}")
