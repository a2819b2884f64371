"""Recipes are written: TOML that `load_recipe` reads back to an equal recipe."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

from dancelcm_cli.config.schema import Recipe


def recipe_to_toml(recipe: Recipe) -> str:
    """Return every setting of `recipe` as TOML, one table per section."""
    return "\n".join(_table(recipe, key="")).lstrip("\n") + "\n"


def _table(settings: Any, key: str) -> list[str]:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    sections = {name: value for name, value in values.items() if is_dataclass(value)}
    lines = ["", f"[{key}]"] if key else []
    lines += [f"{name} = {_value(values[name])}" for name in values if name not in sections]
    for name, section in sections.items():  # after the values: a header ends the table before it
        lines += _table(section, f"{key}.{name}" if key else name)
    return lines


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # JSON's escapes are TOML's
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
