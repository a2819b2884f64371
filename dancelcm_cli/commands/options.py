"""What the subcommands share: options with one meaning, and how they become a recipe."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dancelcm_cli.config.loading import load_recipe, recipe_names
from dancelcm_cli.config.schema import Device, Recipe
from dancelcm_cli.errors import ConfigError, InputError

DEFAULTS = Recipe()
RECIPE_PANEL = "Recipe"

RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help=f"A bundled recipe ({', '.join(recipe_names())}) or a TOML file, "
        "whose values replace the defaults of the options above.",
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
ShardsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SHARDS",
        help="Shard folder that `dancelcm preprocess` wrote; a resumed run keeps its own.",
    ),
]
RunOutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Run folder to make.", show_default="runs/<command>-<time>"
    ),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN", help="Continue this run from its last checkpoint, with its own recipe."
    ),
]


def resolve_recipe(
    recipe: str | Path | None, settings: Sequence[str] | None, flags: Mapping[str, object]
) -> Recipe:
    """Return the recipe with `--set` overrides and, on top of them, the flags that were given.

    `flags` maps dotted keys to values; None stands for a flag that was not given.
    """
    given = [f"{key}={value}" for key, value in flags.items() if value is not None]
    return load_recipe(recipe, [*(settings or []), *given])


def run_recipe(recipe: str | None, resume: Path | None) -> str | Path | None:
    """Return which recipe a run starts from: the given one, else that of the run to resume."""
    if recipe is not None or resume is None:
        return recipe
    if not (resume / "recipe.toml").is_file():
        raise InputError(
            f"--resume must be a run folder with a recipe.toml, got {resume}.",
            hint="Name the folder of the interrupted run, such as runs/train-20250101-120000.",
        )
    return resume / "recipe.toml"


def run_folder(command: str, output: Path | None, resume: Path | None) -> Path:
    """Return the folder of the run to resume, or else of a new one."""
    if output is not None and resume is not None:
        raise ConfigError(
            f"--output must be left out with --resume, got {output} and {resume}.",
            hint="A resumed run continues in its own folder.",
        )
    return resume or output or Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"
