"""The recipe in a model folder: what pictures the model was made for, and how it is used.

Commands that are told a model but no recipe take it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe

FILE = "recipe.toml"


def model_recipe(model: Path | None) -> Path | None:
    """Return the recipe of the folder `model`; None where it has none."""
    path = None if model is None else model / FILE
    return path if path is not None and path.is_file() else None


def write_model_recipe(folder: Path, toml: str) -> None:
    """Put a recipe into a model folder, one that nobody reads yet."""
    (folder / FILE).write_text(toml, encoding="utf-8")


def trained_recipe(recipe: Recipe) -> str:
    """Return as TOML what goes with a model that was trained under `recipe`.

    That is all but where it was trained, from which random numbers, and how results are scored.
    """
    usual = Recipe()
    return recipe_to_toml(
        replace(
            recipe,
            seed=usual.seed,
            device=usual.device,
            compute=usual.compute,
            evaluate=usual.evaluate,
        )
    )
