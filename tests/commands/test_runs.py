from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.commands.runs import run_folder, run_recipe
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import ConfigError, InputError


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


def test_a_resumed_run_cannot_move() -> None:
    with pytest.raises(ConfigError, match="--output must be left out with --resume"):
        run_folder("train", Path("new"), Path("old"))
