"""Figures as Markdown and JSON, written anew after every table: a cut-off run leaves its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dancelcm_cli.data.atomic import atomic_path, write_json_atomic

LONG = 15  # rows


class Report:
    """Collects notes and tables; prints each, and keeps all in `output` and its `.json`."""

    def __init__(self, output: Path | None, heading: Sequence[str]) -> None:
        self.output = output
        self._lines: list[str] = []
        self._tables: dict[str, list[dict[str, object]]] = {}
        self._notes: list[str] = []
        for line in heading:
            self.note(line)

    def note(self, text: str) -> None:
        """Add a line of text."""
        self._notes.append(text)
        self._add([text, ""])

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table of figures."""
        self._tables[title] = [dict(zip(columns, row, strict=True)) for row in rows]
        head = [f"## {title}", "", cells(columns), "| --- " * len(columns) + "|"]
        self._add([*head, *map(cells, rows), ""])

    def summarize(self) -> None:
        """Print all tables once more, without the longest of them."""
        for title, rows in self._tables.items():
            if len(rows) < LONG:
                body = [cells(list(row.values())) for row in rows]
                print(f"\n{title}", cells(list(rows[0])), *body, sep="\n", flush=True)

    def _add(self, lines: Sequence[str]) -> None:
        print(*lines, sep="\n", flush=True)
        self._lines += lines
        if self.output is None:
            return
        with atomic_path(self.output) as temporary:
            temporary.write_text("\n".join(self._lines), encoding="utf-8")
        found = {"notes": self._notes, "tables": self._tables}
        write_json_atomic(self.output.with_suffix(".json"), found)


def cells(row: Sequence[object]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(map(str, row))} |"
