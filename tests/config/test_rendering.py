from __future__ import annotations

import math
import tomllib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.config.loading import load_recipe, recipe_names
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe


def read_back(text: str) -> Recipe:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that a setting of this kind may have, most of them in range."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(min_value=1, max_value=2**63 - 1)
    if kind is float:
        return st.floats(min_value=1e-12, max_value=1, exclude_max=True)
    if kind is str:
        return st.text(max_size=8)
    raise AssertionError(f"the schema has a new kind of setting: {kind}")


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """A recipe with values of its own in many places; the networks stay valid ones."""

    def changed(settings: Any) -> Any:
        hints = get_type_hints(type(settings))
        changes = {}
        for field in fields(settings):
            value = getattr(settings, field.name)
            if is_dataclass(value):
                changes[field.name] = changed(value)
            elif get_origin(hints[field.name]) is not tuple and draw(st.booleans()):
                changes[field.name] = draw(values(hints[field.name]))
        return replace(settings, **changes)

    recipe = changed(Recipe())
    segments = draw(st.sampled_from([1, 2, 5, 10]))
    return replace(
        recipe,
        autoencoder=Recipe().autoencoder,
        network=load_recipe(draw(st.sampled_from(recipe_names()))).network,
        preprocess=replace(recipe.preprocess, max_people=0),
        distill=replace(recipe.distill, segments=segments, grid_size=50),
        schedule=Recipe().schedule,
        animate=replace(recipe.animate, overlap=0),
        compute=replace(recipe.compute, sharding="none"),
    )


@given(recipes())
def test_a_rendered_recipe_reads_back_as_itself(recipe: Recipe) -> None:
    assert read_back(recipe_to_toml(recipe)) == recipe


@given(st.floats(min_value=0, max_value=math.inf, exclude_max=True))
def test_every_real_number_survives_to_the_last_bit(number: float) -> None:
    recipe = replace(Recipe(), animate=replace(Recipe().animate, guidance_scale=number))
    assert read_back(recipe_to_toml(recipe)).animate.guidance_scale == number


@pytest.mark.parametrize("name", recipe_names())
def test_a_bundled_recipe_reads_back_as_itself(name: str) -> None:
    recipe = load_recipe(name)
    assert read_back(recipe_to_toml(recipe)) == recipe


def test_rendering_names_every_setting_of_the_schema() -> None:
    table = tomllib.loads(recipe_to_toml(Recipe()))
    assert set(table) == {field.name for field in fields(Recipe)}
    assert set(table["distill"]["optimizer"]) == {
        f.name for f in fields(Recipe().distill.optimizer)
    }
