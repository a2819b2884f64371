"""What an evaluation is told to do, kept so that it can be done again.

`protocol.json` says what is compared and how; `recipe.toml` beside it holds all settings. Both name
files by their absolute paths. Models must be the same ones again, by their hashes; true videos and
given predictions are taken as they are by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.atomic import write_json_atomic, write_text_atomic
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.plain_files import read_json

FORMAT_VERSION = 1
PROTOCOL_FILE, RECIPE_FILE = "protocol.json", "recipe.toml"


@dataclass(frozen=True)
class Plan:
    """The rows to make and to score, on which videos; a path that is None is to be looked for.

    `bounds` adds the round trip through the first model's autoencoder.
    """

    dataset: str
    data: Path | None = None
    truth: Path | None = None
    ids: Path | None = None
    predictions: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    bounds: bool = False


def write_plan(plan: Plan, recipe: Recipe, protocol: Protocol, folder: Path) -> None:
    """Write `protocol.json` and `recipe.toml` into `folder`."""
    if recipe.evaluate.i3d:
        weights = str(Path(recipe.evaluate.i3d).expanduser().resolve())
        recipe = replace(recipe, evaluate=replace(recipe.evaluate, i3d=weights))
    write_text_atomic(folder / RECIPE_FILE, recipe_to_toml(recipe))
    content = {
        "format_version": FORMAT_VERSION,
        "protocol": asdict(protocol),
        "run": {name: _plain(value) for name, value in vars(plan).items()},
        "models": {str(model.resolve()): folder_sha256(model) for model in plan.models},
    }
    write_json_atomic(folder / PROTOCOL_FILE, content)


def read_plan(path: Path) -> tuple[Plan, Recipe]:
    """Return what `write_plan` wrote; `path` is the folder or the protocol.json in it.

    Raises:
        InputError: There is no such plan, or a model is no longer what it was.
    """
    file = path / PROTOCOL_FILE if path.is_dir() else path
    try:
        content = read_json(file)
        version = content["format_version"]
        if version != FORMAT_VERSION:
            raise ValueError(f"format version {version}, not {FORMAT_VERSION}")
        plan, models = _plan(content["run"]), dict(content["models"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} must be the protocol.json of an evaluation, but it cannot be read ({error}).",
            hint="Make it with `dancelcm evaluate`.",
        ) from error
    for model, sha256 in models.items():
        if not Path(model).is_dir() or folder_sha256(Path(model)) != sha256:
            raise InputError(
                f"{model} must be the model that {file} was made with, but it is another now.",
                hint="Put the earlier model there, or start a new evaluation with --model.",
            )
    return plan, load_recipe(file.with_name(RECIPE_FILE))


def _plan(run: Mapping[str, Any]) -> Plan:
    places = {
        name: None if run[name] is None else Path(run[name]) for name in ("data", "truth", "ids")
    }
    return Plan(
        dataset=str(run["dataset"]),
        predictions=tuple(map(Path, run["predictions"])),
        models=tuple(map(Path, run["models"])),
        bounds=bool(run["bounds"]),
        **places,
    )


def _plain(value: object) -> object:
    """Return a path as an absolute one, so that a plan means the same from anywhere."""
    if isinstance(value, Path):
        return str(value.resolve())
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
