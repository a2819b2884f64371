"""What the subcommands share: options with one meaning, and how they become a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dancelcm_cli.config.loading import load_recipe, recipe_names
from dancelcm_cli.config.model_recipe import model_recipe
from dancelcm_cli.config.schema import Device, Recipe

DEFAULT_RECIPE = "tiny"
DEFAULTS = load_recipe(DEFAULT_RECIPE, [])
RECIPE_PANEL = "Recipe"

RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help=f"A bundled recipe ({', '.join(recipe_names())}) or a TOML file, "
        "whose values replace the defaults of the options above. Without it, the "
        "recipe in the model's folder, or tiny.",
        rich_help_panel=RECIPE_PANEL,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one setting of the recipe, for example animate.steps=8. May be repeated.",
        rich_help_panel=RECIPE_PANEL,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        help="Seed of every random number.",
        show_default=str(DEFAULTS.seed),
        rich_help_panel=RECIPE_PANEL,
    ),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option(
        help="Where the network runs; auto takes a GPU where there is one.",
        show_default=str(DEFAULTS.device),
        rich_help_panel=RECIPE_PANEL,
    ),
]


def resolve_recipe(
    recipe: str | Path | None,
    settings: Sequence[str] | None,
    flags: Mapping[str, object],
    model: Path | None = None,
) -> Recipe:
    """Return the recipe with `--set` overrides and, on top of them, the flags that were given.

    Without `recipe` it is that of the folder `model`, and without one there the bundled model's.
    `flags` maps dotted keys to values; None stands for a flag that was not given.
    """
    given = [f"{key}={value}" for key, value in flags.items() if value is not None]
    chosen = recipe or model_recipe(model) or DEFAULT_RECIPE
    return load_recipe(chosen, [*(settings or []), *given])
