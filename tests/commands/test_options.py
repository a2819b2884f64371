from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.commands.options import resolve_recipe, run_folder, run_recipe
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import ConfigError, InputError


def test_flags_win_over_overrides_and_overrides_over_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 1\n[animate]\nsteps = 1\nnum_frames = 1\n")
    overrides = ["seed=2", "animate.steps=2"]
    recipe = resolve_recipe(path, overrides, {"animate.steps": 3, "animate.sampler": "ddim"})
    expected = replace(Recipe().animate, num_frames=1, steps=3, sampler="ddim")
    assert (recipe.seed, recipe.animate) == (2, expected)


def test_a_flag_that_was_not_given_leaves_the_recipe_alone() -> None:
    assert resolve_recipe(None, None, {"animate.steps": None}) == Recipe()


def test_a_flag_out_of_range_is_refused_like_any_setting() -> None:
    with pytest.raises(ConfigError, match=r"animate\.steps must be at least 1, got 0"):
        resolve_recipe(None, None, {"animate.steps": 0})


def test_a_resumed_run_starts_from_its_own_recipe(tmp_path: Path) -> None:
    own = replace(Recipe(), seed=17)
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(own))
    assert resolve_recipe(run_recipe(None, tmp_path), None, {}) == own


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
