"""Names that others chose: they lead to no place but the named one, and in reports they stay text.

A name with `/` in it would be a path, perhaps out of the folder that it is looked for in. A
spreadsheet takes a cell that begins with `=` for a formula and runs it, Markdown a `|` for the end
of a cell, and a browser that shows Markdown a `<` for a tag.
"""

from __future__ import annotations

import re
from pathlib import Path

from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import read_text

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")  # how a formula, or our mark, may begin
MARKUP = re.compile(r"[\\`*_{}\[\]<>()#|~!&]")
SPACE = re.compile(r"\s")
TICKS = re.compile(r"`+")
BYTE_ORDER_MARK = "\ufeff"  # with which some editors begin a file in UTF-8


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty, without the blanks around them.

    Raises:
        InputError: It is no text in UTF-8, or cannot be read.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} must be a text file in UTF-8, but it cannot be read ({error}).",
            hint="Save it as UTF-8, with a name a line.",
        ) from error
    lines = map(str.strip, text.removeprefix(BYTE_ORDER_MARK).splitlines())
    return [line for line in lines if line]


def require_name(name: str, place: Path) -> None:
    """Refuse a `name`, found at `place`, that would lead out of the folder it is looked for in.

    Raises:
        InputError: It is a path, or no name of a file at all.
    """
    if name in {"", ".", ".."} or "\0" in name or Path(name).name != name:
        raise InputError(
            f"The name of a test video must be that of a file or folder alone, got {name!r} in"
            f" {place}.",
            hint="Rename the video, or correct the list that names it.",
        )


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
