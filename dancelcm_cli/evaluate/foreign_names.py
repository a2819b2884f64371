"""Names of files and folders in reports: whatever they are, they stay text.

A spreadsheet takes a cell that begins with `=` for a formula and runs it, Markdown a `|` for the
end of a cell, and a browser that shows Markdown a `<` for a tag.
"""

from __future__ import annotations

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")  # how a formula, or our mark, may begin
MARKUP = re.compile(r"[\\`*_{}\[\]<>()#|~!&]")
SPACE = re.compile(r"\s")
TICKS = re.compile(r"`+")


def as_cell(name: str) -> str:
    """Return `name` for a CSV file: text for every spreadsheet, and no two names become one."""
    return f"'{name}" if name.startswith(FORMULA) else name


def from_cell(cell: str) -> str:
    """Return the name of which `as_cell` made `cell`."""
    return cell.removeprefix("'")


def as_markdown(name: str) -> str:
    """Return `name` for Markdown, also within a table: in one line and without effect."""
    return SPACE.sub(" ", MARKUP.sub(r"\\\g<0>", name))


def as_code(text: str) -> str:
    """Return `text` as Markdown's code, fenced by more backticks than it holds in a row."""
    longest = max((len(ticks) for ticks in TICKS.findall(text)), default=0)
    fence, line = "`" * (longest + 1), SPACE.sub(" ", text)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"
