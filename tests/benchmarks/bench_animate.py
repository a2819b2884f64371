"""Seconds from typing the README's first command to its video on the disk.

    python tests/benchmarks/bench_animate.py [--runs 3]

Each run is a new process. Prints one line a run and their median beside the bound of 20 seconds;
the second part of each line is what the command itself counts, without the start of Python.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dancelcm_cli.data.bundled import bundled

BOUND_SECONDS = 20.0


def animate_once(output: Path, steps: int) -> tuple[float, float]:
    """Return the seconds of the whole process and those of the command."""
    command = [
        sys.executable, "-m", "dancelcm_cli", "animate", bundled("samples/reference.png"),
        bundled("samples/driving.mp4"), "--steps", str(steps), "--output", output,
    ]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.perf_counter() - started
    return whole, json.loads(output.with_suffix(".json").read_text())["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}")
    wholes = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(arguments.runs):
            whole, inner = animate_once(Path(folder) / f"{run}.mp4", arguments.steps)
            wholes.append(whole)
            print(f"run {run + 1}: {whole:.1f} s, of which the command {inner:.1f} s")
    print(f"median {statistics.median(wholes):.1f} s, bound {BOUND_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
