"""The five stages killed at random moments and resumed, and what that changed: nothing.

    python -m tests.reliability.kill_table [--kills 100] [--seed 0] [--at moments|writes]
        [--stages train animate]

Each stage takes its share of the kills, several in each of as many runs as that takes. What a run
has left when it is done is compared, byte for byte, with what an undisturbed one left; `stages.py`
names the figures of clock and memory that are not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import get_args

from tests.reliability.killing import At, Toll, kill_and_resume, measure, run_command
from tests.reliability.stages import Stage, contents, make_inputs

KILLS_A_RUN = 5


def kill_stage(stage: Stage, folder: Path, kills: int, seed: int, at: At) -> tuple[Toll, float]:
    """Kill `stage` that often; return what became of it, and how long it takes undisturbed."""
    moments, toll, runs = random.Random(f"{seed} {stage.name}"), Toll(), 0
    measure(stage, folder / "first")  # fills caches, as the others find them
    usual = measure(stage, folder / "whole")
    whole = contents(folder / "whole")
    while toll.kills < kills:
        runs += 1
        most = min(KILLS_A_RUN, kills - toll.kills)
        made = kill_and_resume(stage, folder / str(runs), whole, usual, most, moments, at)
        toll.add(made)
        print(f"{stage.name}, run {runs}: {made}", flush=True)
        if not made.differences:
            shutil.rmtree(folder / str(runs))
    return toll, usual


def main() -> int:
    """Print the table, and return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", choices=get_args(At), default="moments")
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="default: all five")
    asked = parser.parse_args()
    folder = Path(mkdtemp(prefix="kills-"))
    os.environ |= {"OMP_NUM_THREADS": "1", "DANCELCM_CACHE": str(folder / "cache")}
    stages = make_inputs(folder / "inputs")
    chosen = [stages[name] for name in asked.stages or stages]
    run_command(folder / "start", "--version")  # the server imports what all will use
    lines = ["| stage | undisturbed, s | kills | starts | differences |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    failed = False
    for stage in chosen:
        share = -(-asked.kills // len(chosen))
        toll, usual = kill_stage(stage, folder / stage.name, share, asked.seed, asked.at)
        failed |= bool(toll.differences)
        figures = (f"{usual:.1f}", toll.kills, toll.starts, len(toll.differences))
        lines.append(f"| {' | '.join(map(str, (stage.name, *figures)))} |")
    print("\n".join([f"Seed {asked.seed}, at {asked.at}, in {folder}", "", *lines]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
