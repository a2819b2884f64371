"""Runs the paper's experiments on a small teacher, and sets the results beside the paper's.

    python -m tests.benchmarks.paper_tables SHARDS --teacher MODEL --data TEST_CLIPS \\
        --output FOLDER --steps 600 --seeds 0 1 2 --jobs 4 --device cuda

Each row is a `dancelcm distill` and a `dancelcm evaluate`, with the same teacher, clips, steps and
batch for all; those of the first seed come first. The same command again goes on where it was
stopped, by Ctrl-C, SIGTERM or --minutes, and tries again what failed. After each row FOLDER holds
tables.md, tables.json and pictures of what there is so far; --report copies them. The logs are in
FOLDER/logs. To keep within a limit of the machine, such as 10 minutes:

    timeout 560 python -m tests.benchmarks.paper_tables ... --minutes 8

Exit codes: 0 nothing failed, 1 a row failed, 130 stopped by a signal.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from dancelcm_cli.errors import DanceLCMError, InputError
from dancelcm_cli.evaluate.sources import list_sources
from tests.benchmarks.paper_record import claim, note_start, read_starts, shown_plan
from tests.benchmarks.paper_report import Report
from tests.benchmarks.paper_rows import RUNS, Table, paper_tables, steps_of
from tests.benchmarks.paper_runs import (
    Children,
    Job,
    Plan,
    RowFailed,
    Stopped,
    is_scored,
    read_seconds,
    run_job,
)
from tests.benchmarks.paper_text import Course

WITHOUT_CLIP = (
    "Face tokens of CLIP (figure 5) are left out: this teacher has no image encoder to make them"
    " with."
)


def make_jobs(
    tables: Sequence[Table], names: Sequence[str], seeds: Sequence[int], has_clip: bool
) -> list[Job]:
    """Return the rows called `names` seed by seed, without CLIP's where there is none."""
    return [
        Job(run, seed, tuple(steps_of(run.name, tables)))
        for seed in seeds
        for run in RUNS
        if run.name in names and (has_clip or run.name != "face-clip")
    ]


def run_rows(
    plan: Plan,
    jobs: Sequence[Job],
    children: Children,
    at_a_time: int,
    minutes: float,
    on_done: Callable[[dict[str, str]], object],
) -> dict[str, str]:
    """Run what is not done yet, and start nothing after `minutes`; return what failed, and how.

    `on_done` is told what has failed so far after each row.
    """
    deadline = time.monotonic() + 60 * minutes
    failed: dict[str, str] = {}

    def attempt(job: Job) -> None:
        if children.stopping or time.monotonic() > deadline:
            raise Stopped
        say(f"begins: {job.name}")
        run_job(plan, job, children)

    waiting = [job for job in jobs if not is_scored(plan, job)]
    with ThreadPoolExecutor(at_a_time) as pool:
        futures = {pool.submit(attempt, job): job for job in waiting}
        for future in as_completed(futures):
            job = futures[future]
            try:
                future.result()
            except Stopped:
                continue
            except RowFailed as error:
                failed[job.name] = str(error)
                say(f"FAILED: {job.name}, {error}")
            else:
                say(f"done: {job.name}, {read_seconds(plan, job)} s")
            on_done(failed)
    return failed


def say(text: str) -> None:
    """Print a line, of several threads each whole."""
    print(f"{time.strftime('%H:%M:%S')} {text}\n", end="", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [run.name for run in RUNS]
    parser.add_argument("shards", type=Path, help="what `dancelcm preprocess` wrote")
    parser.add_argument("--teacher", type=Path, required=True, help="model folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of test clips")
    parser.add_argument("--output", type=Path, required=True, help="folder of all that is made")
    parser.add_argument("--steps", type=int, default=600, help="of every distillation")
    parser.add_argument("--batch-size", type=int, default=16, help="clips per step")
    parser.add_argument("--guidance", type=float, default=1.5, help="of the teacher")
    parser.add_argument("--teacher-steps", type=int, default=50, help="of the teacher's best row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no row later")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu")
    for name, stage in (("--set", "distillation"), ("--evaluate-set", "evaluation")):
        parser.add_argument(
            name, action="append", default=[], metavar="KEY=VALUE", help=f"for every {stage}"
        )
    parser.add_argument("--report", type=Path, help="folder that the tables are copied to")
    parser.add_argument("--commit", help="what is measured, where the checkout has no git")
    return parser.parse_args()


def make_plan(given: argparse.Namespace) -> Plan:
    """Return what the arguments ask for.

    Raises:
        InputError: An input is not there.
    """
    for folder, file in ((given.shards, "index.jsonl"), (given.teacher, "model_index.json")):
        if not (folder / file).is_file():
            raise InputError(f"{folder} must hold {file}, but it does not.")
    list_sources(given.data)
    return Plan(
        shards=given.shards.absolute(),
        teacher=given.teacher.absolute(),
        data=given.data.absolute(),
        output=given.output.absolute(),
        steps=given.steps,
        batch_size=given.batch_size,
        guidance=given.guidance,
        teacher_steps=given.teacher_steps,
        device=given.device,
        distill_settings=tuple(given.set),
        evaluate_settings=tuple(given.evaluate_set),
    )


def main() -> int:
    given = parse_arguments()
    children = Children(given.jobs)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: children.stop())
    plan = make_plan(given)
    claim(plan)
    tables = paper_tables(plan.teacher_steps)
    has_clip = (plan.teacher / "image_encoder").is_dir()
    jobs = make_jobs(tables, given.rows, given.seeds, has_clip)
    if not all(is_scored(plan, job) for job in jobs):
        note_start(plan, sys.argv[1:], given.commit)
    course = Course(shown_plan(plan), read_starts(plan), remarks=[] if has_clip else [WITHOUT_CLIP])
    report = Report(plan, jobs, tables, course, given.report)
    failed = run_rows(plan, jobs, children, given.jobs, given.minutes, report.write)
    say(report.write(failed))
    say(f"tables: {given.output / 'tables.md'}; logs: {given.output / 'logs'}")
    left = [job.name for job in jobs if not is_scored(plan, job)]
    if left:
        say(f"left: {', '.join(left)}. The same command goes on.")
    if children.stopping:
        return 130
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DanceLCMError as error:
        sys.exit(f"{error.message} {error.hint}")
