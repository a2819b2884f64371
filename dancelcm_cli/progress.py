"""How long work reports itself, without knowing about terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """What a stage may tell its caller while it works."""

    def track(
        self, items: Iterable[Item], description: str, total: int | None = None
    ) -> Iterator[Item]:
        """Yield `items` unchanged while showing how many are done."""
        ...

    def task(
        self, description: str, total: int, completed: int = 0
    ) -> AbstractContextManager[Callable[[int, str], None]]:
        """Show a bar for work that is no iteration: call `advance(count, note)` on it."""
        ...

    def note(self, message: str) -> None:
        """Tell the user one thing that happened."""
        ...


class SilentProgress:
    """Says nothing: the default for the library and its tests."""

    def track(
        self, items: Iterable[Item], description: str, total: int | None = None
    ) -> Iterator[Item]:
        yield from items

    def task(
        self, description: str, total: int, completed: int = 0
    ) -> AbstractContextManager[Callable[[int, str], None]]:
        def advance(count: int, note: str) -> None: ...

        return nullcontext(advance)

    def note(self, message: str) -> None: ...
