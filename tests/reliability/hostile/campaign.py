"""Cases by the thousand, in worker processes that may die, and what became of them."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.hostile.kinds import Kind
from tests.reliability.hostile.limits import MEBIBYTE, MOST_MEMORY, MOST_SECONDS, MOST_SILENCE

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Failure:
    """A case that was neither accepted nor refused as it must be, by the seed that makes it."""

    seed: int
    file: str
    reason: str


@dataclass
class Tally:
    """What became of the cases of a kind; processor seconds and bytes are those of the worst."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    memory: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, told: dict[str, object]) -> None:
        """Count a case."""
        self.cases += 1
        verdict, reason = told["verdict"], str(told["detail"])
        seconds, memory = float(str(told["seconds"])), int(str(told["memory"]))
        self.accepted += verdict == "accepted"
        self.refused += verdict == "refused"
        self.seconds, self.memory = max(self.seconds, seconds), max(self.memory, memory)
        if verdict != "failed" and seconds > MOST_SECONDS:
            verdict, reason = "failed", f"took {seconds:.0f} s"
        if verdict != "failed" and memory > MOST_MEMORY:
            verdict, reason = "failed", f"took {memory / MEBIBYTE:.0f} MiB"
        if verdict == "failed":
            self.failures.append(Failure(int(str(told["seed"])), str(told["file"]), reason))

    def lose(self, seed: int, reason: str) -> None:
        """Count a case that took its worker along."""
        self.cases += 1
        self.failures.append(Failure(seed, "", reason))


class Worker:
    """A process that reads the files of cases; another takes its place when it dies or hangs."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *reason: object) -> None:
        self._end()

    def run(self, kind: Kind, seeds: Iterable[int]) -> Tally:
        """Run a case of `kind` for each of `seeds`."""
        samples, cases = self._scratch / kind.name, self._scratch / "cases"
        if not samples.exists():
            samples.mkdir(parents=True)
            cases.mkdir(exist_ok=True)
            kind.make(samples)
        tally = Tally()
        for seed in seeds:
            asked = {"kind": kind.name, "samples": str(samples), "scratch": str(cases)}
            told = self._ask({**asked, "seed": seed})
            if told is None:
                tally.lose(seed, "it killed or stopped its worker")
            else:
                tally.add(told)
        return tally

    def _ask(self, question: dict[str, object]) -> dict[str, object] | None:
        """Return the answer, or None where the worker died over it or is silent for too long."""
        process = self._process or self._start()
        assert process.stdin is not None
        line = b""
        with suppress(BrokenPipeError, queue.Empty):
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            line = self._lines.get(timeout=MOST_SILENCE)
        if not line:
            self._end()
            return None
        answer: dict[str, object] = json.loads(line)
        if "broken" in answer:
            raise RuntimeError(f"a file without fault is not read: {answer['broken']}")
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.reliability.hostile.worker"]
        with (self._scratch / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self._lines = queue.Queue()
        threading.Thread(target=_pump, args=(self._process, self._lines), daemon=True).start()
        return self._process

    def kill(self) -> None:
        """Kill the process, as a case might."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                with suppress(BrokenPipeError):
                    assert stream is not None
                    stream.close()
            self._process = None


def _pump(worker: subprocess.Popen[bytes], lines: queue.Queue[bytes]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        lines.put(line)
    lines.put(b"")
