"""The manual of all commands as one page, read off the functions behind them.

    python -m tests.command_pages

writes it anew. Typer's own `utils docs` prints another page with every release of Typer, with
markup in it; this one depends on nothing but what the commands declare.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from dancelcm_cli.app import app

PAGE = Path(__file__).parents[1] / "dancelcm_cli" / "commands" / "README.md"
PLACEHOLDERS = {Path: "PATH", str: "TEXT", int: "N", float: "X"}
FOREWORD = """# The commands

What `--help` says, on one page. `python -m tests.command_pages` writes it: change the help texts
in this folder, not this page.

Results go to stdout; progress, notes and errors to stderr. What error messages and exit codes mean
is told in [TROUBLESHOOTING.md](../../.github/TROUBLESHOOTING.md), settings in
[config/README.md](../config/README.md).
"""
ARGUMENTS = "Arguments"


@dataclass(frozen=True)
class Command:
    """A command as it is typed, the function behind it, and what its help ends with."""

    name: str
    function: Any
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Parameter:
    """An option or argument: its spellings, its value, its meaning, and its group in `--help`."""

    names: tuple[str, ...]  # none of an argument
    value: str
    meaning: str
    default: str
    panel: str
    required: bool

    @property
    def spelling(self) -> str:
        """All that can be typed."""
        return f"{', '.join(self.names)} {self.value}".strip()

    @property
    def usage(self) -> str:
        """What is typed in a line that holds the whole command."""
        return f"{self.names[-1]} {self.value}" if self.names else self.value


def commands(group: typer.Typer = app, prefix: str = "dancelcm") -> Iterator[Command]:
    """Yield every command in the order of `--help`."""
    for command in group.registered_commands:
        function: Any = command.callback
        examples = re.findall(r"^\$ (.+)", command.epilog or "", re.MULTILINE)
        yield Command(f"{prefix} {command.name or function.__name__}", function, tuple(examples))
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from commands(below.typer_instance, f"{prefix} {below.name}")


def parameters(command: Command) -> Iterator[Parameter]:
    """Yield the arguments and options of a command in the order of `--help`."""
    hints = get_type_hints(command.function, include_extras=True)
    for name, declared in inspect.signature(command.function).parameters.items():
        kind, info = get_args(hints[name])
        yield _parameter(name, kind, info, declared.default)


def _parameter(name: str, kind: object, info: Any, default: object) -> Parameter:
    required = default is inspect.Parameter.empty
    shown = info.show_default
    if shown is True:
        shown = "" if required or default is None or default is False else str(default)
    names: tuple[str, ...] = ()
    panel = ARGUMENTS
    if isinstance(info, typer.models.OptionInfo):
        panel = info.rich_help_panel or "Options"
        # Typer keeps the first spelling where a default would stand outside of Annotated.
        given = [
            text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)
        ]
        if not any(text.startswith("--") for text in given):
            given.append(f"--{name.replace('_', '-')}")
        names = tuple(sorted(given, key=len))
    if default is True:  # of a switch that has an opposite
        shown = names[-1].split("/")[0]
    value = _placeholder(kind, info)
    return Parameter(names, value, plain(info.help), shown or "", panel, required)


def _placeholder(kind: object, info: Any) -> str:
    """Return what stands for a value: `info`'s own word, the choices, or the type."""
    if info.metavar:
        return str(info.metavar)
    (inner,) = [part for part in _members(kind) if part is not type(None)]
    if get_origin(inner) is Literal:
        return "|".join(map(str, get_args(inner)))
    return "" if inner is bool else PLACEHOLDERS[inner]


def _members(kind: object) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def plain(text: str) -> str:
    r"""Return a help text without Rich's markup: `[bold]`, and `\[` for a bracket."""
    return re.sub(r"(?<!\\)\[/?\w+\]", "", text).replace("\\[", "[")


def page() -> str:
    """Return the whole manual as Markdown."""
    return "\n".join([FOREWORD, *(_section(command) for command in commands())])


def _section(command: Command) -> str:
    found = sorted(parameters(command), key=lambda one: one.panel != ARGUMENTS)
    required = [one.usage for one in found if one.names and one.required]
    arguments = [one.usage if one.required else f"[{one.usage}]" for one in found if not one.names]
    panels: dict[str, list[str]] = {}
    for one in found:
        default = f" Default: `{one.default}`." if one.default else ""
        panels.setdefault(one.panel, []).append(f"- `{one.spelling}`: {one.meaning}{default}")
    blocks = [
        f"## {command.name}",
        " ".join(["   ", command.name, *arguments, *required, "[OPTIONS]"]),
        plain(inspect.getdoc(command.function) or ""),
        *("\n".join([f"{panel}:", "", *lines]) for panel, lines in panels.items()),
        "Examples:",
        "\n".join(f"    {example}" for example in command.examples),
    ]
    return "\n\n".join(blocks) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
