"""Commands of `dancelcm` in processes that start within a moment, to be killed at any.

A server imports PyTorch and the stages once; each command is a fork of it, in a process group of
its own, that behaves as `python -m dancelcm_cli` does from its first line on.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Literal

from dancelcm_cli.app import main
from tests.reliability.stages import Stage, differences

IMPORTED = (
    "dancelcm_cli.training.runs",
    "dancelcm_cli.animate.batch",
    "dancelcm_cli.evaluate.runner",
    "dancelcm_cli.preprocess.pipeline",
    "dancelcm_cli.preprocess.report",
    "dancelcm_cli.core.model_folder",
    "tests.reliability.killing",
)
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir"}  # Python's audit events
WRITING = os.O_WRONLY | os.O_RDWR
PATIENCE = 600.0  # seconds; the machine may be busy with other things


@dataclass
class Command:
    """A command that runs in `folder`; what it says goes into `log`.

    It kills itself (SIGKILL) just before the `last_write`-th time that it makes, opens for writing,
    renames or removes a file or folder; 0 is never.
    """

    folder: Path
    arguments: tuple[str, ...]
    log: Path
    last_write: int = 0
    process: ForkServerProcess = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*IMPORTED])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = context.Process(
            target=_be_dancelcm,
            args=(self.arguments, self.folder, self.log, self.last_write, dict(os.environ)),
        )
        self.process.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it has started, as a terminal does."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # it is not the first of its group yet, or has ended
            self.signal(number)

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Return the exit code, or None where it runs on after so many seconds."""
        self.process.join(seconds)
        return self.process.exitcode

    def end(self) -> str:
        """Wait until it is done, and return what it said.

        Raises:
            RuntimeError: it failed or hangs.
        """
        code = self.wait()
        if code is None:
            self.signal_all(signal.SIGKILL)
        if code != 0:
            command = " ".join(self.arguments)
            raise RuntimeError(f"{command} ended with {code}:\n{self.said[-2000:]}")
        return self.said

    def wait_for(self, *signs: str) -> bool:
        """Wait until something in the folder fits a pattern; False where the command ends first."""
        while not any(any(self.folder.glob(sign)) for sign in signs):
            if self.wait(0.005) is not None:
                return False
        return True

    def wait_for_start(self) -> bool:
        """Wait until the command's own code has run for a moment; False where it ends first."""
        while not self.log.exists():
            if self.wait(0.005) is not None:
                return False
        return self.wait(0.2) is None

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self.process.pid is not None
        return self.process.pid


def run_command(folder: Path, *arguments: str) -> str:
    """Run a command in `folder` to its end; return what it said."""
    return start(folder, *arguments).end()


def start(folder: Path, *arguments: str, last_write: int = 0) -> Command:
    """Start a command in `folder`; its log lies beside it."""
    return Command(folder, arguments, folder.with_name(f"{folder.name}.log"), last_write)


def _be_dancelcm(
    arguments: tuple[str, ...],
    folder: Path,
    log: Path,
    last_write: int,
    environment: Mapping[str, str],
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    # What a new interpreter would have; the server ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["dancelcm", *arguments]
    if last_write:
        _die_before_write(last_write)
    main()


def _die_before_write(last: int) -> None:
    writes = itertools.count(1)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (opens or event in CHANGES) and next(writes) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


At = Literal["moments", "writes"]
DOUBLINGS = 8.0  # a tiny stage writes no more often than 2 ** 8 times


@dataclass
class Toll:
    """What became of a stage that was killed again and again."""

    kills: int = 0  # that struck a running process
    starts: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: Toll) -> None:
        """Count in what became of another run."""
        self.kills += other.kills
        self.starts += other.starts
        self.differences += other.differences


def measure(stage: Stage, folder: Path) -> float:
    """Run `stage` undisturbed in `folder`; return how many seconds that took."""
    began = time.perf_counter()
    run_command(folder, *stage.command)
    return time.perf_counter() - began


def kill_and_resume(
    stage: Stage,
    folder: Path,
    whole: Mapping[str, bytes],
    usual: float,
    kills: int,
    moments: random.Random,
    at: At = "moments",
) -> Toll:
    """Kill `stage` in `folder` up to `kills` times, then let it end, and look at what it left.

    It is killed a random while after each start: of up to the `usual` seconds, of up to half of
    them the second time, a third the third, as less and less is left to be done. Or else it is
    killed before a random write, with even odds for the 1st, the 2nd to 3rd, the 4th to 7th, ...

    Raises:
        RuntimeError: the command that goes on fails.
    """
    toll = Toll()
    while toll.kills < kills:
        toll.starts += 1
        if at == "writes":
            last = int(2 ** moments.uniform(0, DOUBLINGS))
            command = start(folder, *stage.next_command(folder), last_write=last)
            code = command.wait()
        else:
            command = start(folder, *stage.next_command(folder))
            code = command.wait(moments.uniform(0, usual / toll.starts))
        if code is None:
            command.signal_all(signal.SIGKILL)
            code = command.wait()
        if code != -signal.SIGKILL:
            command.end()
            break
        toll.kills += 1
    else:
        run_command(folder, *stage.next_command(folder))
        toll.starts += 1
    toll.differences = differences(folder, whole)
    return toll
