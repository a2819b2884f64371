"""A long distillation that is killed again and again, beside one that is left alone.

    python -m tests.reliability.soak SHARDS OUTPUT [--minutes 120] [--seed 0] [--options ...]

The options go to `dancelcm distill` of both. Each runs in a process of its own. One is killed
(SIGKILL) at random moments and resumed, and now and then terminated (SIGTERM), which must end it
with 130. When the time is over both are terminated, and everything that they wrote of the steps
that both reached must be equal, digit for digit. Memory and open files of the undisturbed one are
sampled every few seconds; their slopes by least squares over its second half are printed, a
validation's peaks included. Memory is the process's own: pages of the mapped shards, which the
system takes back as it likes, are left out.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from dancelcm_cli.data.jsonl import read_rows
from tests.benchmarks.tables import Report
from tests.reliability.timed_figures import without_times

SAMPLE_EVERY = 5.0  # seconds
PAUSES = 60.0, 240.0  # seconds between kills, the time to start again included
TERMINATED_SHARE = 0.2  # of the kills
INTERRUPTED = 130  # the exit code of a run that saved its state
MIB = 2**20


@dataclass
class Run:
    """A distillation in a process, resumed as often as needed."""

    folder: Path
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    samples: list[tuple[float, float, int]] = field(default_factory=list)  # seconds, MiB, files

    def start(self) -> None:
        """Begin the run, or go on with it."""
        begun = (self.folder / "run.json").exists()
        how = ["--resume", str(self.folder)] if begun else [*self.arguments, "-o", str(self.folder)]
        command = [sys.executable, "-m", "dancelcm_cli", "distill", *how]
        with self.folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """Return the process.

        Raises:
            RuntimeError: it has ended, and nobody had asked it to.
        """
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the run of {self.folder} has ended by itself: see its log")
        return self.process

    def sample(self, seconds: float) -> None:
        """Note what the process holds."""
        process = psutil.Process(self.running.pid)
        memory = process.memory_info()
        own = (memory.rss - memory.shared) / MIB
        self.samples.append((seconds, own, process.num_fds()))

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        process = self.running
        process.send_signal(number)
        return process.wait()

    def rows(self) -> dict[tuple[int, bool], dict[str, object]]:
        """Return what the run wrote of its steps and validations, without the clock's figures."""
        rows = read_rows(self.folder / "metrics.jsonl")
        return {(int(row["step"]), "loss" in row): without_times(row) for row in rows}


def soak(undisturbed: Run, killed: Run, seconds: float, rng: random.Random) -> dict[str, int]:
    """Let both run for that long; return how often one was killed, terminated and ended wrongly."""
    counts = {"SIGKILL": 0, "SIGTERM": 0, "SIGTERM without exit 130": 0}
    began = time.monotonic()
    for run in (undisturbed, killed):
        run.start()
    strike = rng.uniform(*PAUSES)
    while (now := time.monotonic() - began) < seconds:
        time.sleep(SAMPLE_EVERY)
        undisturbed.sample(now)
        if now < strike:
            continue
        gently = rng.random() < TERMINATED_SHARE
        code = killed.stop(signal.SIGTERM if gently else signal.SIGKILL)
        counts["SIGTERM" if gently else "SIGKILL"] += 1
        # A process that has not yet come to its handlers dies of the signal: nothing was lost.
        counts["SIGTERM without exit 130"] += gently and code not in (INTERRUPTED, -signal.SIGTERM)
        killed.start()
        strike = time.monotonic() - began + rng.uniform(*PAUSES)
        print(f"{now / 60:.0f} min: {counts}, {len(killed.rows())} rows", flush=True)
    for run in (undisturbed, killed):
        run.stop(signal.SIGTERM)
    return counts


def slope(samples: Sequence[tuple[float, float, int]], column: int) -> float:
    """Return how fast a column grows, per hour, over the second half of the samples."""
    half = np.array(samples[len(samples) // 2 :])
    return float(np.polyfit(half[:, 0] / 3600, half[:, column], 1)[0])


def main() -> int:
    """Soak, print the table, and return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of the runs; last")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True)
    arguments = [str(asked.shards), *asked.options]
    undisturbed = Run(asked.output / "undisturbed", arguments)
    killed = Run(asked.output / "killed", arguments)
    counts = soak(undisturbed, killed, 60 * asked.minutes, random.Random(asked.seed))

    ours, theirs = undisturbed.rows(), killed.rows()
    common = ours.keys() & theirs.keys()
    different = sorted(key for key in common if ours[key] != theirs[key])
    report = Report(asked.output / "soak.md", [f"{asked.minutes:.0f} minutes, seed {asked.seed}."])
    rows: list[tuple[object, object]] = [
        *counts.items(),
        ("rows that both wrote", len(common)),
        ("last step that both reached", max(step for step, _ in common)),
        ("rows that differ", len(different)),
        ("memory at the end, MiB", f"{undisturbed.samples[-1][1]:.0f}"),
        ("memory, MiB an hour", f"{slope(undisturbed.samples, 1):+.1f}"),
        ("open files at the end", undisturbed.samples[-1][2]),
        ("open files an hour", f"{slope(undisturbed.samples, 2):+.2f}"),
    ]
    report.table("Soak", ("what", "figure"), rows)
    for key in different[:5]:
        print(f"step {key[0]}: {ours[key]} became {theirs[key]}")
    return int(bool(different) or bool(counts["SIGTERM without exit 130"]) or not common)


if __name__ == "__main__":
    sys.exit(main())
