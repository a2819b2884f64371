from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.commands.options import resolve_recipe
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import ConfigError


def test_flags_win_over_overrides_and_overrides_over_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 1\n[animate]\nsteps = 1\nnum_frames = 1\n")
    overrides = ["seed=2", "animate.steps=2"]
    recipe = resolve_recipe(path, overrides, {"animate.steps": 3, "animate.sampler": "ddim"})
    expected = replace(Recipe().animate, num_frames=1, steps=3, sampler="ddim")
    assert (recipe.seed, recipe.animate) == (2, expected)


def test_a_flag_that_was_not_given_leaves_the_recipe_alone() -> None:
    assert resolve_recipe(None, None, {"animate.steps": None}) == load_recipe("tiny", [])


def test_a_model_brings_its_recipe_unless_another_is_named(tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert resolve_recipe(None, None, {}, model) == load_recipe("tiny", [])
    model.mkdir()
    assert resolve_recipe(None, None, {}, model) == load_recipe("tiny", [])
    (model / "recipe.toml").write_text('extends = "unianimate"\nseed = 3\n')
    own = load_recipe("unianimate", ["seed=3", "animate.steps=8"])
    assert resolve_recipe(None, None, {"animate.steps": 8}, model) == own
    assert resolve_recipe("smoke", None, {}, model) == load_recipe("smoke", [])


def test_a_flag_out_of_range_is_refused_like_any_setting() -> None:
    with pytest.raises(ConfigError, match=r"animate\.steps must be at least 1, got 0"):
        resolve_recipe(None, None, {"animate.steps": 0})
