"""The report of the paper's tables: written anew after each row, of what is done so far."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dancelcm_cli.data.atomic import write_json_atomic, write_text_atomic
from tests.benchmarks.paper_charts import draw_strip, draw_table
from tests.benchmarks.paper_rows import BASELINE, BASELINE_STEPS, TEACHER, Table
from tests.benchmarks.paper_runs import Job, Plan, is_scored, read_seconds
from tests.benchmarks.paper_scores import collect_scores, result_of, table_cells
from tests.benchmarks.paper_text import Course, agreement_text, as_json, markdown

STRIP = "Figure 6: teacher and student"
STANDING_FRAME = (
    "The protocol scores the given frame, too, as DisCo does: of the repeated reference frame it is"
    " perfect (a PSNR of 100 dB), which lifts that row's means, the more the shorter the clips."
)


class Report:
    """Writes the tables of what is done so far."""

    def __init__(
        self,
        plan: Plan,
        jobs: Sequence[Job],
        tables: Sequence[Table],
        course: Course,
        copy: Path | None,
    ) -> None:
        self._plan, self._jobs, self._tables = plan, jobs, tables
        self._course, self._copy = course, copy

    def write(self, failed: dict[str, str]) -> str:
        """Write Markdown, JSON and pictures; return a sentence on the agreement."""
        output, scores = self._plan.output, collect_scores(self._plan, self._jobs)
        agreement = agreement_text(self._tables, scores)
        done = [job for job in self._jobs if is_scored(self._plan, job)]
        course = replace(
            self._course,
            seconds={job.name: read_seconds(self._plan, job) for job in done},
            remarks=[agreement, *self._course.remarks, *self._remarks(done, failed)],
        )
        pictures = {}
        for table in self._tables:
            if draw_table(table_cells(table, scores), output / f"{table.name}.png"):
                pictures[table.name] = f"{table.name}.png"
        if self._draw_strip(output / "figure-6.png"):
            pictures[STRIP] = "figure-6.png"
        write_text_atomic(output / "tables.md", markdown(self._tables, scores, course, pictures))
        write_json_atomic(output / "tables.json", as_json(self._tables, scores, course))
        if self._copy is not None:
            self._copy.mkdir(parents=True, exist_ok=True)
            for name in ("tables.md", "tables.json", *pictures.values()):
                shutil.copyfile(output / name, self._copy / name)
        return agreement

    def _remarks(self, done: Sequence[Job], failed: dict[str, str]) -> list[str]:
        """Return a sentence for each thing that the tables lack, and one on the standing frame."""
        remarks = [f"{name} failed: {text.splitlines()[-1]}" for name, text in failed.items()]
        left = [job.name for job in self._jobs if job not in done and job.name not in failed]
        if left:
            remarks.append(f"Still to be run: {', '.join(left)}.")
        if not done:
            return remarks
        result = result_of(self._plan, done[0])
        if result.protocol.include_reference_frame:
            remarks.append(STANDING_FRAME)
        skipped = result.skipped.items()
        return [*remarks, *(f"{name.upper()} was not measured. {why}" for name, why in skipped)]

    def _draw_strip(self, path: Path) -> bool:
        """Draw figure 6 once the teacher and the student of one seed are done."""
        done = {(job.run.name, job.seed): job for job in self._jobs if is_scored(self._plan, job)}
        for (name, seed), teacher in done.items():
            student = done.get((BASELINE, seed))
            if name == TEACHER and student is not None:
                theirs, ours = result_of(self._plan, teacher), result_of(self._plan, student)
                few, many = BASELINE_STEPS, self._plan.teacher_steps
                shown = [(f"teacher, {n} steps", theirs, n) for n in sorted({few, many})]
                draw_strip(self._plan.data, [*shown, ("DanceLCM, 4 steps", ours, few)], path)
                return True
        return False
