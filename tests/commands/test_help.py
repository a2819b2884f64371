from __future__ import annotations

import pytest
from typer.testing import CliRunner

from dancelcm_cli.app import app

COMMANDS = ["preprocess", "train", "distill", "animate", "evaluate"]


def help_of(command: str) -> str:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("command", [*COMMANDS, "danceset"])
def test_help_ends_with_two_examples_to_type(command: str) -> None:
    lines = [line.strip() for line in help_of(command).splitlines()]
    assert len([line for line in lines if line.startswith(f"$ dancelcm {command} ")]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_a_recipe_a_seed_and_a_device(command: str) -> None:
    shown = help_of(command)
    assert all(flag in shown for flag in ("--recipe", "--set", "--seed", "--device"))


def test_choices_are_those_of_the_schema() -> None:
    result = CliRunner().invoke(app, ["animate", "photo.png", "dance.mp4", "--sampler", "euler"])
    assert result.exit_code == 2
    assert "edge_renoise" in result.output
