"""Items in batches (`itertools.batched` comes with Python 3.12), and dealt out to processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield `items` in lists of `size`; the last may be shorter."""
    remaining = iter(items)
    return iter(lambda: list(islice(remaining, size)), [])


def deal(items: Sequence[Item], rank: int, count: int) -> Sequence[Item]:
    """Return the share of process `rank` among `count`: every `count`-th of `items`."""
    return items[rank::count]


def collect(shares: Sequence[Sequence[Item]]) -> list[Item]:
    """Return what was dealt to all processes, by rank, in the order that it had before."""
    rounds = zip_longest(*shares, fillvalue=None)
    return [item for dealt in rounds for item in dealt if item is not None]
