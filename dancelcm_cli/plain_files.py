"""Files that may come from anywhere, opened so that they can neither block a run nor swamp it.

A named pipe waits for ever, a device never ends, and JSON may be nested until the parser gives up.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from dancelcm_cli.errors import InputError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
LARGEST_TEXT = 64_000_000  # bytes of a file that is read and parsed as a whole


def require_plain_file(path: Path, wanted: str, hint: str = "") -> None:
    """Refuse a `path` that is no ordinary file, before it is opened.

    Args:
        path: It may be a link to an ordinary file.
        wanted: What must be there, such as "a picture".
        hint: What to type where something else is there.

    Raises:
        InputError: there is nothing, or a folder, a named pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} must be {wanted}, but it does not exist.", hint="Check the spelling."
        ) from None
    except (OSError, ValueError) as error:  # links in a circle, a name too long or with a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} must be {wanted}, got a path of no file: {reason}.") from error
    if not stat.S_ISREG(mode):
        found = KINDS.get(stat.S_IFMT(mode), "something else")
        raise InputError(f"{path} must be {wanted}, got {found}.", hint)


def refuse_links(folder: Path) -> None:
    """Refuse a folder to be written into that has links in it: they lead to places outside of it.

    Raises:
        InputError: an entry of `folder` is a symbolic link.
    """
    links = sorted(entry.name for entry in folder.iterdir() if entry.is_symlink())
    if links:
        raise InputError(
            f"{folder} must hold files of its own to be written into, got a link: {links[0]}.",
            hint="Copy what the link leads to in its place, or choose another folder.",
        )


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file.

    Raises:
        InputError: `path` is no ordinary file.
        OSError: it is not there or cannot be read.
        ValueError: it is too large to be what it must be, or not in UTF-8.
    """
    if path.exists():
        require_plain_file(path, "an ordinary file")
        size = path.stat().st_size
        if size > LARGEST_TEXT:
            raise ValueError(f"it has {size:,} bytes, of at most {LARGEST_TEXT:,}")
    return path.read_text(encoding="utf-8")


def parse_json(text: str | bytes) -> Any:
    """Return what a text says in JSON.

    Raises:
        ValueError: it is none, nested too deeply, or holds a whole number beyond 64 bits.
    """
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole_number(text: str) -> int:
    number = int(text)
    if abs(number) >= 2**64:  # Python has no limit, but what counts with it has: float(), NumPy
        raise ValueError(f"{text[:40]} is larger than any number of 64 bits")
    return number


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        InputError: `path` is no ordinary file.
        OSError: it is not there or cannot be read.
        ValueError: it holds something else.
    """
    content = parse_json(read_text(path))
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content
