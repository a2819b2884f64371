"""The paper's tables as Markdown and JSON: our figures, the paper's, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from dancelcm_cli.evaluate.candidates import REPEATED_REFERENCE
from tests.benchmarks.paper_rows import SOURCE, Line, Table
from tests.benchmarks.paper_scores import STANDING, Cell, Scores, line_cells, table_cells

SCHEMA_VERSION = 1
NOTHING = "-"
HOW_TO_READ = (
    "Mean ± standard deviation over the seeds of a row. In brackets the paper's figure"
    f" ({SOURCE}; TikTok, ten clips of real people, so that only the direction can be compared) and"
    " whether the row is better or worse than DanceLCM at 4 steps here as it is there: ✓ it is, ✗"
    " it is the other way round; with a question mark where our difference is no larger than the"
    f' spread. "{NOTHING}" was not measured.'
)


@dataclass(frozen=True)
class Course:
    """How the figures came about.

    `starts` are the calls of the command, each with its machine and commit; `seconds` are those of
    every row's parts; `remarks` are sentences on what is missing, and why.
    """

    plan: Mapping[str, object]
    starts: Sequence[Mapping[str, str]]
    seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    remarks: Sequence[str] = ()


def markdown(
    tables: Sequence[Table], scores: Scores, course: Course, pictures: Mapping[str, str]
) -> str:
    """Return the report; `pictures` are files by the name of their table, or other titles."""
    return "\n".join(_lines(tables, scores, course, pictures)) + "\n"


def _lines(
    tables: Sequence[Table], scores: Scores, course: Course, pictures: Mapping[str, str]
) -> Iterator[str]:
    yield from ("# The paper's tables, on a small teacher", "", HOW_TO_READ)
    left = dict(pictures)
    for table in tables:
        yield from ("", f"## {table.title}", "")
        rows = table_cells(table, scores)
        if table is tables[0]:
            still = Line(REPEATED_REFERENCE, *STANDING)
            rows = [(still, line_cells(still, scores)), *rows]
        yield from _table(rows)
        if table.name in left:
            yield from ("", f"![{table.title}]({left.pop(table.name)})")
    for title, file in left.items():
        yield from ("", f"## {title}", "", f"![{title}]({file})")
    yield from ("", "## How they were made", "")
    yield from (f"- {name}: {_setting(value)}" for name, value in course.plan.items())
    yield from (f"- {remark}" for remark in course.remarks)
    yield from ("", "| started | commit | machine | command |", "| --- | --- | --- | --- |")
    for start in course.starts:
        shown = (start["time"], start["commit"], start["machine"], f"`{start['command']}`")
        yield _row(shown)
    yield from ("", "| row | distillation, s | evaluation, s |", "| --- | ---: | ---: |")
    for name, parts in course.seconds.items():
        yield _row((name, *(str(parts.get(part, NOTHING)) for part in ("distill", "evaluate"))))


def _setting(value: object) -> str:
    words = value if isinstance(value, list) else [value]
    return ", ".join(f"`{word}`" for word in words) or "none"


def _table(rows: Sequence[tuple[Line, Sequence[Cell]]]) -> Iterator[str]:
    headings = [cell.column.heading for cell in rows[0][1]]
    yield _row(("", *headings, "seeds"))
    yield _row(("---", *["---:"] * (len(headings) + 1)))
    for line, cells in rows:
        seeds = max(len(cell.values) for cell in cells)
        yield _row((line.label, *map(cell_text, cells), str(seeds or NOTHING)))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell_text(cell: Cell) -> str:
    """Return our figure and, in brackets, the paper's with the mark of agreement."""
    digits, text = cell.column.measured.digits, NOTHING
    if cell.mean is not None:
        text = format(cell.mean, digits)
    if cell.spread is not None:
        text += f" ± {cell.spread:{digits}}"
    if cell.paper is None:
        return text
    mark = {None: "", True: " ✓", False: " ✗"}[cell.agrees]
    mark += "?" if mark and cell.unsure else ""
    return f"{text} [{cell.paper:{cell.column.paper.digits}}{mark}]"


def agreement_text(tables: Sequence[Table], scores: Scores) -> str:
    """Return in how many comparisons the sign agrees, each counted once."""
    lines = {(line.run, line.steps, str(line.paper)): line for t in tables for line in t.lines}
    cells = [cell for line in lines.values() for cell in line_cells(line, scores)]
    told = [cell for cell in cells if cell.agrees is not None]
    text = f"The sign agrees in {_agreeing(told)} comparisons with the paper"
    if not any(cell.spread for cell in told):
        return f"{text}."
    sure = [cell for cell in told if not cell.unsure]
    return f"{text}; where our difference is beyond the spread of the seeds, in {_agreeing(sure)}."


def _agreeing(cells: Sequence[Cell]) -> str:
    return f"{sum(cell.agrees is True for cell in cells)} of {len(cells)}"


def as_json(tables: Sequence[Table], scores: Scores, course: Course) -> dict[str, object]:
    """Return all figures, and how they came about, as plain data."""
    standing = line_cells(Line(REPEATED_REFERENCE, *STANDING), scores)
    return {
        "schema_version": SCHEMA_VERSION,
        "paper": SOURCE,
        **asdict(course),
        REPEATED_REFERENCE.replace(" ", "_"): {c.column.measured.name: c.mean for c in standing},
        "tables": [
            {
                "name": table.name,
                "title": table.title,
                "lines": [_line(line, cells) for line, cells in table_cells(table, scores)],
            }
            for table in tables
        ],
    }


def _line(line: Line, cells: Sequence[Cell]) -> dict[str, object]:
    figures = {
        cell.column.measured.name: {
            "values": list(cell.values),
            "mean": cell.mean,
            "spread": cell.spread,
            "paper": cell.paper,
            "sign_agrees": cell.agrees,
            "within_spread": cell.unsure,
        }
        for cell in cells
    }
    return {"label": line.label, "run": line.run, "steps": line.steps, "metrics": figures}
