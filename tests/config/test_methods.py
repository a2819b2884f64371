from __future__ import annotations

from typing import get_args

import pytest

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.methods import METHOD_SETTINGS, method_settings
from dancelcm_cli.config.schema import Method


def test_every_method_has_its_settings() -> None:
    assert set(METHOD_SETTINGS) == set(get_args(Method))


@pytest.mark.parametrize("recipe", ["smoke", "tiny", "unianimate"])
@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_fits_every_recipe(recipe: str, method: Method) -> None:
    distill = load_recipe(recipe, method_settings(method)).distill
    assert distill.method == method
    rival = method != "dancelcm"
    ours = (distill.motion_weight, distill.auxiliary_weight, distill.face)
    assert ours == ((0.0, 0.0, "none") if rival else (0.5, 0.1, "vae"))


def test_what_comes_later_overrides_a_method() -> None:
    recipe = load_recipe("smoke", [*method_settings("pcm"), "distill.segments=2"])
    assert recipe.distill.segments == 2 and recipe.distill.target == "self"


def test_without_a_method_the_recipe_decides() -> None:
    assert method_settings(None) == []
