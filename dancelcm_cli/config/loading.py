"""Recipes are read: schema defaults, then a TOML file, then `section.key=value` overrides."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.config.validation import validate_recipe
from dancelcm_cli.errors import ConfigError

RECIPES = Path(__file__).parent / "recipes"

LARGEST = 100_000  # bytes of a recipe
WHOLE_NUMBERS = 2**64  # end here, for all that counts with them
MOST_DOTS = 100  # of a line: parsing a key takes the square of its dots

Settings = TypeVar("Settings")

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def load_recipe(name_or_path: str | Path | None, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of that name or file, with `overrides` on top.

    `name_or_path` is the name of a bundled recipe ("unianimate"), the path of a TOML file, or None
    for the schema's defaults. A recipe may start from a bundled one, `extends = "unianimate"`, and
    then holds only what differs. An override is `section.key=value`; its value is read as TOML and,
    where it is none, as a bare text. Of two overrides of one key the later wins.

    Raises:
        ConfigError: the recipe is missing or no TOML, or a key or value does not fit the schema.
    """
    table = {} if name_or_path is None else _read_recipe(name_or_path)
    for override in overrides:
        _put(table, override)
    recipe = _updated(Recipe(), table, prefix="")
    validate_recipe(recipe)
    return recipe


def recipe_names() -> list[str]:
    """Return the names of the bundled recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def setting_keys(settings: object, prefix: str = "") -> list[str]:
    """Return the dotted key of every setting that `settings` holds, in the schema's order."""
    keys: list[str] = []
    for name in _names(settings):
        value = getattr(settings, name)
        nested = is_dataclass(value)
        keys += setting_keys(value, f"{prefix}{name}.") if nested else [prefix + name]
    return keys


def _recipe_path(name_or_path: str | Path) -> Path:
    name, path = str(name_or_path), Path(name_or_path)
    if path.is_file():
        return path
    if name in recipe_names():
        return RECIPES / f"{name}.toml"
    raise ConfigError(
        f"A recipe must be a TOML file or one of {', '.join(recipe_names())}, got {_shown(name)}.",
        hint=_did_you_mean(get_close_matches(name, recipe_names(), n=1)),
    )


def _read_recipe(name_or_path: str | Path) -> dict[str, Any]:
    """Return the settings of a recipe, on top of those of the bundled one that it extends."""
    path = _recipe_path(name_or_path)
    table = _read_table(path)
    base = table.pop("extends", None)
    if base is None:
        return table
    if base not in recipe_names() or RECIPES / f"{base}.toml" == path:
        others = ", ".join(name for name in recipe_names() if RECIPES / f"{name}.toml" != path)
        raise ConfigError(f"extends in {path} must be one of {others}, got {_shown(base)}.")
    return _merged(_read_recipe(RECIPES / f"{base}.toml"), table)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`, section by section."""
    merged = dict(base)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def _read_table(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ValueError(f"it has {size:,} bytes, of at most {LARGEST:,}")
        text = path.read_text(encoding="utf-8")
        if max(line.count(".") for line in text.split("\n")) > MOST_DOTS:
            raise ValueError(f"a line has more than {MOST_DOTS} dots")
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path} must be a TOML file, got one nested too deeply.") from None
    except OSError as error:
        raise ConfigError(f"{path} must be readable, got: {error.strerror}.") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise ConfigError(f"{path} must be a TOML file, got an error: {error}.") from error


def _put(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or not name:
        raise ConfigError(
            f"An override must be section.key=value, got {_shown(override)}.",
            hint="For example: --set animate.steps=8",
        )
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{section} must be a section, got {_shown(table)}.")
    table[name] = _override_value(text.strip())


def _override_value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text


def _updated(settings: Settings, table: Mapping[str, Any], prefix: str) -> Settings:
    """Return `settings` with the values of `table`, both of them at the dotted key `prefix`."""
    hints = get_type_hints(type(settings))
    changes = {}
    for name, value in table.items():
        key = prefix + name
        if name not in hints:
            raise _unknown(key, settings, prefix)
        current = getattr(settings, name)
        if not is_dataclass(current):
            changes[name] = _checked(hints[name], value, key)
        elif isinstance(value, dict):
            changes[name] = _updated(current, value, f"{key}.")
        else:
            raise ConfigError(
                f"{key} must be a section, got {_shown(value)}.",
                hint=f"Its settings are {', '.join(setting_keys(current, f'{key}.'))}.",
            )
    return replace(settings, **changes)  # type: ignore[type-var]


def _checked(kind: Any, value: Any, key: str) -> Any:
    """Return `value` as the type `kind` of the schema."""
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise ConfigError(
                f"{key} must be one of {', '.join(map(str, choices))}, got {_shown(value)}.",
                hint=_did_you_mean(get_close_matches(str(value), map(str, choices), n=1)),
            )
        return value
    if get_origin(kind) is tuple:
        item_kind = get_args(kind)[0]
        if not isinstance(value, list):
            value = [value]  # a list of one
        return tuple(_checked(item_kind, item, f"{key}[{i}]") for i, item in enumerate(value))
    if type(value) is int and abs(value) >= WHOLE_NUMBERS:
        raise ConfigError(f"{key} must fit 64 bits, got {len(str(abs(value)))} digits.")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # not isinstance: true is no whole number
        raise ConfigError(f"{key} must be {_KINDS[kind]}, got {_shown(value)}.")
    return value


def _unknown(key: str, settings: object, prefix: str) -> ConfigError:
    name = key.removeprefix(prefix)
    namesakes = [known for known in setting_keys(Recipe()) if known.endswith(f".{name}")]
    similar = [prefix + sibling for sibling in get_close_matches(name, _names(settings), n=1)]
    return ConfigError(
        f"{key} must be a setting, but there is none of that name.",
        hint=_did_you_mean(namesakes or similar)
        or f"The settings are {', '.join(setting_keys(settings, prefix))}.",
    )


def _did_you_mean(candidates: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(candidates)}?" if candidates else ""


def _names(settings: object) -> list[str]:
    return [field.name for field in fields(settings)]  # type: ignore[arg-type]


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)  # near enough to TOML to be found
