"""A row of the paper's tables: a distillation and an evaluation, each a command of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.data.atomic import write_json_atomic
from tests.benchmarks.paper_rows import Run

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "dancelcm_cli")
TAIL = 15  # lines of a failed command's log that are shown
MOST_THREADS = 4  # of a command: a small network gains nothing from more
PATIENCE = 10.0  # seconds after which a second wish to stop is meant as one


@dataclass(frozen=True)
class Plan:
    """What all rows have in common: inputs, budget and place. Paths are absolute."""

    shards: Path
    teacher: Path
    data: Path
    output: Path
    steps: int
    batch_size: int
    guidance: float
    teacher_steps: int
    device: str
    distill_settings: tuple[str, ...] = ()
    evaluate_settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A row with a seed, and the numbers of steps at which it is evaluated."""

    run: Run
    seed: int
    steps: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of its folders and logs."""
        return f"{self.run.name}-seed{self.seed}"


class RowFailed(Exception):
    """A command of a row failed; the text ends with the tail of its log."""


class Stopped(Exception):
    """The row was not started, or not finished: it goes on when the tables are run again."""


class Children:
    """The commands that run at the moment, which `stop` tells to save and leave.

    Each has a process group of its own: a Ctrl-C in the terminal reaches them through us alone,
    once, because a second signal would cut their checkpoint short.
    """

    def __init__(self, jobs: int) -> None:
        self._stopped_at: float | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        threads = min(MOST_THREADS, max(1, (os.cpu_count() or 1) // jobs))
        self._environment = {"OMP_NUM_THREADS": str(threads), **os.environ}

    @property
    def stopping(self) -> bool:
        """Whether nothing is to start any more."""
        return self._stopped_at is not None

    def run(self, command: Sequence[str], log: Path) -> None:
        """Run `command` to its end, all that it says appended to `log`.

        Raises:
            RowFailed: It failed.
            Stopped: It was stopped, or everything is being stopped.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(f"$ {shlex.join(command)}\n".encode())
            file.flush()
            child = self._start(command, file.fileno())
            code = child.wait()
        with self._lock:
            self._running.discard(child)
        if code and self.stopping:
            raise Stopped
        if code:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise RowFailed("\n".join([f"exit code {code}, {log}:", *lines[-TAIL:]]))

    def _start(self, command: Sequence[str], output: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.stopping:
                raise Stopped
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            self._running.add(child)
            return child

    def stop(self) -> None:
        """Let nothing start any more and tell all that runs to stop; a later time, kill it.

        `timeout` sends its signal twice at once, which is one wish.
        """
        now = time.monotonic()
        if self._stopped_at is None:
            self._stopped_at, number = now, signal.SIGTERM
        elif now - self._stopped_at > PATIENCE:
            number = signal.SIGKILL
        else:
            return
        with self._lock:
            for child in self._running:
                child.send_signal(number)


def run_folder(plan: Plan, job: Job) -> Path:
    """Return where the row's student is made."""
    return plan.output / "runs" / job.name


def scores_folder(plan: Plan, job: Job) -> Path:
    """Return where the row's evaluation is written."""
    return plan.output / "scores" / job.name


def distill_command(plan: Plan, job: Job) -> list[str]:
    """Return what makes the row's student, or goes on with it where it was begun.

    Of equal settings the last wins: the budget, what the user says, what makes the row.
    """
    folder = run_folder(plan, job)
    if (folder / "run.json").is_file():
        return [*COMMAND, "distill", "--resume", str(folder)]
    budget = (
        f"distill.batch_size={plan.batch_size}",
        f"distill.guidance_scale={plan.guidance}",
        f"distill.validate_every={plan.steps}",
        f"distill.checkpoint_every={max(1, plan.steps // 3)}",
        "distill.keep_checkpoints=1",
        "distill.teacher_steps=1",  # its samples beside the student's are not looked at
    )
    common = ["--teacher", str(plan.teacher), "--output", str(folder)]
    common += ["--steps", str(plan.steps), "--seed", str(job.seed), "--device", plan.device]
    settings = _as_options((*budget, *plan.distill_settings))
    return [*COMMAND, "distill", str(plan.shards), *common, *settings, *(job.run.arguments or ())]


def evaluate_command(plan: Plan, job: Job) -> list[str]:
    """Return what scores the row's model; only a teacher needs guidance."""
    distilled = job.run.arguments is not None
    model = run_folder(plan, job) / "model" if distilled else plan.teacher
    guidance = 1.0 if distilled else plan.guidance
    settings = (f"animate.guidance_scale={guidance}", *plan.evaluate_settings)
    return [
        *(*COMMAND, "evaluate", "--dataset", "dance", "--data", str(plan.data)),
        *("--model", str(model), "--steps", ",".join(map(str, job.steps))),
        *("--output", str(scores_folder(plan, job)), "--seed", str(job.seed)),
        *("--device", plan.device, *_as_options(settings)),
    ]


def _as_options(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def run_job(plan: Plan, job: Job, children: Children) -> None:
    """Do of the row what is not done yet; the student's checkpoints go once it is a model.

    Raises:
        RowFailed: One of its commands failed.
        Stopped: It is to go on another time.
    """
    run = run_folder(plan, job)
    if job.run.arguments is not None:
        if not (run / "model").is_dir():
            _timed(plan, job, "distill", distill_command(plan, job), children)
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
    if not is_scored(plan, job):
        _timed(plan, job, "evaluate", evaluate_command(plan, job), children)


def is_scored(plan: Plan, job: Job) -> bool:
    """Whether all of the row is done."""
    return (scores_folder(plan, job) / "results.json").is_file()


def _timed(plan: Plan, job: Job, part: str, command: Sequence[str], children: Children) -> None:
    """Run `command` and add its seconds to those that this part of the row has taken before."""
    started = time.monotonic()
    try:
        children.run(command, plan.output / "logs" / f"{job.name}-{part}.log")
    finally:
        taken = read_seconds(plan, job)
        taken[part] = round(taken.get(part, 0.0) + time.monotonic() - started, 1)
        write_json_atomic(_seconds_file(plan, job), taken)


def read_seconds(plan: Plan, job: Job) -> dict[str, float]:
    """Return the seconds of the row's parts, `distill` and `evaluate`, interruptions included."""
    file = _seconds_file(plan, job)
    return dict(json.loads(file.read_text())) if file.is_file() else {}


def _seconds_file(plan: Plan, job: Job) -> Path:
    return plan.output / "seconds" / f"{job.name}.json"
