"""Runs in several processes, for `test_processes.py`: `torchrun -m tests.training.together JOBS`.

JOBS is a JSON file with a list of runs, which follow one another so that the processes need to be
started only once. Where one ends in an error, every process writes down its message.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.processes import Processes, join_processes
from dancelcm_cli.errors import DanceLCMError
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.loop import run_loop
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.runs import distill_student
from dancelcm_cli.training.student_run import prepare_student
from tests.training.test_loop import COMMAND, CONFIG, make_task


def distil(job: dict[str, Any], processes: Processes) -> None:
    """Distil a student, all but the validation, which takes longest."""
    recipe, output = load_recipe("smoke", job["overrides"]), Path(job["output"])
    inputs = RunInputs("distill", Path(job["shards"]), Path(job["teacher"]))
    run = prepare_student(inputs, output, recipe)
    task = replace(run.task, validate=lambda step: {})
    run_loop(output, task, run.config, SilentProgress(), COMMAND, processes)


def distil_wholly(job: dict[str, Any], processes: Processes) -> None:
    recipe = load_recipe("smoke", job["overrides"])
    shards, output, teacher = (Path(job[name]) for name in ("shards", "output", "teacher"))
    distill_student(shards, output, teacher, recipe, SilentProgress(), resume=False)


def fit_points(job: dict[str, Any], processes: Processes) -> None:
    """Fit a line, interrupted in the last process alone, or with bad losses there."""
    last = processes.rank == processes.count - 1
    task = make_task(
        bad_steps=range(*job["bad_steps"]) if last else range(0),
        interrupt_at=job["interrupt_at"] if last else None,
    )
    run_loop(Path(job["output"]), task, CONFIG, SilentProgress(), COMMAND, processes)


def main(jobs: Path) -> None:
    kinds = {"distil": distil, "distil_wholly": distil_wholly, "fit_points": fit_points}
    for job in json.loads(jobs.read_text()):
        try:
            kinds[job["kind"]](job, join_processes("auto"))
        except DanceLCMError as error:
            name = f"error-{os.environ['RANK']}.txt"
            (Path(job["output"]) / name).write_text(error.message)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
