"""Streams in batches (`itertools.batched` comes with Python 3.12)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield `items` in lists of `size`; the last may be shorter."""
    remaining = iter(items)
    return iter(lambda: list(islice(remaining, size)), [])
