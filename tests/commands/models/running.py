"""How the tests of this folder run a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from dancelcm_cli.app import app, main


def exit_code_of(*arguments: str | Path) -> int | str | None:
    """Run `dancelcm models` with `arguments`."""
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(["models", *map(str, arguments)]))
    return stop.value.code
