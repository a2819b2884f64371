from __future__ import annotations

import pytest
from typer.testing import CliRunner

from dancelcm_cli.app import app

COMMANDS = ["list", "fetch", "verify", "convert", "export"]


def help_of(*command: str) -> str:
    result = CliRunner().invoke(app, ["models", *command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    return result.output


def test_the_group_names_its_commands() -> None:
    words = help_of().split()
    assert all(command in words for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_two_examples_to_type(command: str) -> None:
    lines = [line.strip() for line in help_of(command).splitlines()]
    assert len([line for line in lines if line.startswith(f"$ dancelcm models {command}")]) == 2
