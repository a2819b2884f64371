"""All that is shown in a terminal: results on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import length_hint
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

Item = TypeVar("Item")
Advance = Callable[[int, str], None]
UNLIMITED = 10_000  # columns


class RichProgress:
    """Bars with the time left on stderr: the `Progress` protocol for a person at a terminal.

    Tasks may be nested: an inner bar disappears when it is done, an outer one stays. Where stderr
    is no terminal, every outer bar is printed once, when it ends.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars: Progress | None = None  # while a task is open

    def track(
        self, items: Iterable[Item], description: str, total: int | None = None
    ) -> Iterator[Item]:
        """Yield `items` unchanged while showing how many are done."""
        known = total if total is not None else length_hint(items) or None
        with self._bar(description, known, completed=0) as advance:
            for item in items:
                yield item
                advance(1, "")

    def task(
        self, description: str, total: int, completed: int = 0
    ) -> AbstractContextManager[Advance]:
        """Show a bar for work that is no iteration: call `advance(count, note)` on it."""
        return self._bar(description, total, completed)

    def note(self, message: str) -> None:
        """Print one line, above the bars where there are any."""
        self._console.print(Text(message), soft_wrap=True)

    @contextmanager
    def _bar(self, description: str, total: int | None, completed: int) -> Iterator[Advance]:
        outermost = self._bars is None
        bars = self._bars = self._bars or _bars(self._console)
        bar = bars.add_task(description, total=total, completed=completed, note="")
        bars.start()

        def advance(count: int, note: str) -> None:
            bars.update(bar, advance=count, note=note)

        try:
            yield advance
        finally:
            if outermost:
                bars.stop()
                self._bars = None
            else:
                bars.remove_task(bar)


def print_result(facts: Mapping[str, object]) -> None:
    """Print what a command made, one `name  value` line each, on stdout."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        line = Text.assemble((f"{name:<{width}}", "bold"), f"  {value}")
        Console().print(line, soft_wrap=True)  # a wrapped path could not be copied


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout; its first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console()
    needed = Console(width=UNLIMITED).measure(table).maximum
    console.width = max(console.width, needed)  # a number that is cut off is a wrong number
    console.print(table)


def print_error(message: str, hint: str = "") -> None:
    """Print what went wrong and what to type next, on stderr."""
    console = Console(stderr=True)
    console.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint:  ", "bold"), hint), soft_wrap=True)


def _bars(console: Console) -> Progress:
    note = Column(ratio=1, no_wrap=True)  # gets the room that the others leave
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", style="dim", markup=False, table_column=note),
        console=console,
        expand=True,
    )
