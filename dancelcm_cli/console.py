"""All that is shown in a terminal: results on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from operator import length_hint
from typing import Literal, TypeVar

from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from dancelcm_cli.progress import RunDisplay, Unit

Item = TypeVar("Item")
Advance = Callable[[int, str], None]
UNLIMITED = 10_000  # columns
SPEED_PERIOD = 3600  # seconds of a run whose speed tells the time that is left
# What a terminal obeys instead of showing it: control codes, and marks that turn text round.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
SIDE_BY_SIDE = re.compile(r"(\w+)_(\d+|teacher|reference)")  # `psnr_4`: row psnr, column 4


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
        with self._bar(description, known, completed=0, unit="items") as advance:
            for item in items:
                yield item
                advance(1, "")

    def task(
        self, description: str, total: int, completed: int = 0, unit: Unit = "items"
    ) -> AbstractContextManager[Advance]:
        """Show a bar for work that is no iteration: call `advance(count, note)` on it."""
        return self._bar(description, total, completed, unit)

    @contextmanager
    def run(self, total: int, completed: int = 0) -> Iterator[RunDisplay]:
        """Show a training run as a table that follows it; as lines where stderr is no terminal."""
        if not self._console.is_interactive:
            yield _PlainRun(self._console, total, completed)
            return
        display = _LiveRun(total, completed)
        with Live(display, console=self._console, refresh_per_second=4):
            yield display

    def note(self, message: str) -> None:
        """Print one line, above the bars where there are any."""
        self._console.print(Text(literal(message)), soft_wrap=True)

    @contextmanager
    def _bar(
        self, description: str, total: int | None, completed: int, unit: Unit
    ) -> Iterator[Advance]:
        outermost = self._bars is None
        bars = self._bars = self._bars or _bars(self._console)
        shown = in_one_line(description)
        bar = bars.add_task(shown, total=total, completed=completed, note="", unit=unit)
        bars.start()

        def advance(count: int, note: str) -> None:
            bars.update(bar, advance=count, note=in_one_line(note))

        try:
            yield advance
        finally:
            if outermost:
                bars.stop()
                self._bars = None
            else:
                bars.remove_task(bar)


class _LiveRun:
    """A run at a terminal: its steps, the newest figures and the last validation."""

    def __init__(self, total: int, completed: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            speed_estimate_period=SPEED_PERIOD,
        )
        self._task = self._bar.add_task("Training", total=total, completed=completed)
        self._figures: Mapping[str, float] = {}
        self._validation: tuple[int, Mapping[str, float]] = (0, {})

    def step(self, done: int, losses: Mapping[str, float]) -> None:
        description = "Training" if losses else "Training (loss not finite, step skipped)"
        self._bar.update(self._task, completed=done, description=description)
        self._figures = {**self._figures, **losses}

    def row(self, done: int, figures: Mapping[str, float]) -> None:
        self._figures = figures

    def validation(self, done: int, figures: Mapping[str, float]) -> None:
        self._validation = (done, figures)

    def __rich__(self) -> Group:
        cells = [  # of one width, so that nothing jumps when a number grows
            Text.assemble((f"{_words(name):<20}", "dim"), f"{value:>9.4g}")
            for name, value in self._figures.items()
        ]
        parts: list[RenderableType] = [self._bar, Columns(cells, padding=(0, 3))]
        step, figures = self._validation
        if figures:
            parts.append(_validation_table(step, figures))
        return Group(*parts)


class _PlainRun:
    """A run in a log: a line for each row of its figures and for each validation."""

    def __init__(self, console: Console, total: int, completed: int) -> None:
        self._console, self._total, self._first = console, total, completed
        self._started = time.monotonic()

    def step(self, done: int, losses: Mapping[str, float]) -> None:
        if not losses:
            self._print(f"step {done}/{self._total}  loss not finite, step skipped")

    def row(self, done: int, figures: Mapping[str, float]) -> None:
        per_step = (time.monotonic() - self._started) / max(1, done - self._first)
        left = timedelta(seconds=round(per_step * (self._total - done)))
        self._print(f"step {done}/{self._total}  {left} left  {_line(figures)}")

    def validation(self, done: int, figures: Mapping[str, float]) -> None:
        self._print(f"validation at step {done}  {_line(figures)}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def _validation_table(step: int, figures: Mapping[str, float]) -> Table:
    """Return a table with a row for each measure and a column for each thing it was taken of."""
    rows: dict[str, dict[str, str]] = {}
    for name, value in figures.items():
        match = SIDE_BY_SIDE.fullmatch(name)
        measure, column = match.groups() if match else (name, "")
        rows.setdefault(measure, {})[column] = f"{value:#.4g}"
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    table = Table(f"at step {step}", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for measure, row in rows.items():
        table.add_row(_words(measure), *(row.get(column, "") for column in columns))
    return table


def _line(figures: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _words(name: str) -> str:
    return name.replace("_", " ")


def print_result(facts: Mapping[str, object]) -> None:
    """Print what a command made, one `name  value` line each, on stdout."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        line = Text.assemble((f"{name:<{width}}", "bold"), f"  {in_one_line(value)}")
        Console().print(line, soft_wrap=True)  # a wrapped path could not be copied


def print_json(value: object) -> None:
    """Print a result for programs on stdout."""
    Console().print_json(data=value, ensure_ascii=True)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    text_columns: int = 1,
    bold: Container[tuple[int, int]] = (),
) -> None:
    """Print a table on stdout; its first `text_columns` are text, the others are numbers.

    The cells (row, column) in `bold` stand out.
    """
    table = Table(title=Text(in_one_line(title), "bold"), title_justify="left")
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "left" if index < text_columns else "right"
        table.add_column(Text(column), justify=justify, no_wrap=True)
    for place, row in enumerate(rows):
        styles = ("bold" if (place, column) in bold else "" for column in range(len(columns)))
        cells = zip(map(in_one_line, row), styles, strict=True)
        table.add_row(*(Text(cell, style) for cell, style in cells))
    console = Console()
    needed = Console(width=UNLIMITED).measure(table).maximum
    console.width = max(console.width, needed)  # a number that is cut off is a wrong number
    console.print(table)


def print_error(message: str, hint: str = "") -> None:
    """Print what went wrong and what to type next, on stderr."""
    console = Console(stderr=True)
    console.print(Text.assemble(("error: ", "bold red"), literal(message)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint:  ", "bold"), literal(hint)), soft_wrap=True)


def literal(text: str) -> str:
    """Return `text` as it is shown: what a terminal would obey, or cannot show, is spelt out."""
    spelt = OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)
    return spelt.encode("utf-8", "backslashreplace").decode()


def in_one_line(value: object) -> str:
    """Return `value` as it is shown where a line end would break up a table or a list."""
    return literal(str(value)).replace("\n", "\\n").replace("\t", "\\t")


class _DoneColumn(ProgressColumn):
    """How much is done: of items the number, of bytes the size and the speed."""

    def render(self, task: Task) -> Text:
        if task.fields["unit"] == "items":
            return MofNCompleteColumn().render(task)
        return Text.assemble(DownloadColumn().render(task), " ", TransferSpeedColumn().render(task))


def _bars(console: Console) -> Progress:
    note = Column(ratio=1, no_wrap=True)  # gets the room that the others leave
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        _DoneColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", style="dim", markup=False, table_column=note),
        console=console,
        expand=True,
    )
