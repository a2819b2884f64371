"""How long work reports itself, without knowing about terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol, TypeVar

Item = TypeVar("Item")
Unit = Literal["items", "bytes"]


class RunDisplay(Protocol):
    """What a training run may tell while it goes on; each time with the number of steps done.

    Figures are named in lower case with underscores. A validation's name ends in what it was taken
    of: `psnr_4` and `psnr_teacher` belong side by side.
    """

    def step(self, done: int, losses: Mapping[str, float]) -> None:
        """Tell of a step; nothing in `losses` stands for one that was skipped."""
        ...

    def row(self, done: int, figures: Mapping[str, float]) -> None:
        """Tell the means since the row before."""
        ...

    def validation(self, done: int, figures: Mapping[str, float]) -> None:
        """Tell what a validation found."""
        ...


class Progress(Protocol):
    """What a stage may tell its caller while it works."""

    def track(
        self, items: Iterable[Item], description: str, total: int | None = None
    ) -> Iterator[Item]:
        """Yield `items` unchanged while showing how many are done."""
        ...

    def task(
        self, description: str, total: int, completed: int = 0, unit: Unit = "items"
    ) -> AbstractContextManager[Callable[[int, str], None]]:
        """Show a bar for work that is no iteration: call `advance(count, note)` on it.

        A negative `count` takes back what has to be done again.
        """
        ...

    def run(self, total: int, completed: int = 0) -> AbstractContextManager[RunDisplay]:
        """Show a training run of `total` steps."""
        ...

    def note(self, message: str) -> None:
        """Tell the user one thing that happened."""
        ...


class SilentRunDisplay:
    """Says nothing of a run."""

    def step(self, done: int, losses: Mapping[str, float]) -> None: ...

    def row(self, done: int, figures: Mapping[str, float]) -> None: ...

    def validation(self, done: int, figures: Mapping[str, float]) -> None: ...


class SilentProgress:
    """Says nothing: the default for the library and its tests."""

    def track(
        self, items: Iterable[Item], description: str, total: int | None = None
    ) -> Iterator[Item]:
        yield from items

    def task(
        self, description: str, total: int, completed: int = 0, unit: Unit = "items"
    ) -> AbstractContextManager[Callable[[int, str], None]]:
        def advance(count: int, note: str) -> None: ...

        return nullcontext(advance)

    def run(self, total: int, completed: int = 0) -> AbstractContextManager[RunDisplay]:
        return nullcontext(SilentRunDisplay())

    def note(self, message: str) -> None: ...
