from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dancelcm_cli.app import app
from dancelcm_cli.commands.runs import print_rehearsal, run_folder, run_recipe
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import ConfigError, InputError
from dancelcm_cli.training.rehearsal import Rehearsal


def test_a_resumed_run_starts_from_its_own_recipe(tmp_path: Path) -> None:
    own = replace(Recipe(), seed=17)
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(own))
    assert load_recipe(run_recipe(None, tmp_path)) == own


def test_a_given_recipe_wins_over_that_of_the_resumed_run(tmp_path: Path) -> None:
    assert run_recipe("tiny", tmp_path) == "tiny"


def test_a_folder_without_a_recipe_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--resume must be a run folder"):
        run_recipe(None, tmp_path)


def test_a_resumed_run_stays_in_its_folder() -> None:
    assert run_folder("train", None, Path("runs/old")) == Path("runs/old")


def test_a_new_run_has_a_folder_named_by_command_and_time() -> None:
    assert run_folder("train", None, None).match("runs/train-????????-??????")


@pytest.mark.parametrize("command", ["train", "distill"])
def test_a_resumed_run_is_not_rehearsed(command: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(Recipe()))
    arguments = [command, "--resume", str(tmp_path), "--dry-run"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "--dry-run must be left out with --resume" in result.exception.message


REHEARSAL = Rehearsal(
    device="cpu, 2 threads",
    trainable_parameters=11_885_433,
    loss=0.25,
    peak_memory=3 * 2**29,
    steps=1000,
    step_seconds=3.5,
    beginning_seconds=60.0,
    validations=5,
    validation_seconds=8.0,
    checkpoints=5,
    checkpoint_seconds=0.0,
    checkpoint_size=2**28,
    kept_checkpoints=3,
    free_size=2**40,
    disk=Path("/data"),
)


def test_a_rehearsal_is_printed_in_units_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_rehearsal(REHEARSAL)
    out = capsys.readouterr().out
    for shown in ("11,885,433", "1.50 GiB", "1:00:00 for 1000 steps", "1.00 GiB", "1,024.00 GiB"):
        assert shown in out


def test_what_a_rehearsal_could_not_tell_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_rehearsal(replace(REHEARSAL, loss=None, peak_memory=None))
    out = capsys.readouterr().out
    assert "not finite" in out and "unknown" in out


def test_processes_that_were_not_told_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_rehearsal(None)
    assert capsys.readouterr().out == ""


def test_a_resumed_run_cannot_move() -> None:
    with pytest.raises(ConfigError, match="--output must be left out with --resume"):
        run_folder("train", Path("new"), Path("old"))
