"""Broken files of every kind by the thousand, and how the toolkit takes them.

    python -m tests.reliability.fuzz [--cases 10000] [--seed 0] [--kinds image,video]

A case is a real file with one to four mutations, made by its seed alone, and read as a command
reads it. It may be accepted, or refused in a sentence that names it (exit code 2 or 3): anything
else, a traceback, a crash, a hang, more than 60 s of processor time or 1.5 GiB of memory, or a file
written elsewhere, is a failure, and its seed makes it again. Prints a table, a row a kind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.reliability.hostile.campaign import Tally, Worker
from tests.reliability.hostile.kinds import KINDS
from tests.reliability.hostile.limits import MEBIBYTE


def main() -> int:
    """Run the cases and print what became of them; return 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="of the first case of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated")
    options = parser.parse_args()
    kinds = [KINDS[name] for name in options.kinds.split(",")]
    each = -(-options.cases // len(kinds))
    print("| kind | cases | accepted | refused | failed | worst CPU s | worst MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    total = Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch, Worker(Path(scratch)) as worker:
        for kind in kinds:
            tally = worker.run(kind, range(options.seed, options.seed + each))
            print(_row(kind.name, tally), flush=True)
            for failure in tally.failures:
                told = f"{kind.name} {failure.seed} {failure.file}: {failure.reason}"
                print(told, file=sys.stderr, flush=True)
            total = _sum(total, tally)
    print(_row("all", total))
    return bool(total.failures)


def _row(name: str, tally: Tally) -> str:
    cells = (
        name,
        f"{tally.cases:,}",
        f"{tally.accepted:,}",
        f"{tally.refused:,}",
        str(len(tally.failures)),
        f"{tally.seconds:.2f}",
        f"{tally.memory / MEBIBYTE:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(
        one.cases + other.cases,
        one.accepted + other.accepted,
        one.refused + other.refused,
        max(one.seconds, other.seconds),
        max(one.memory, other.memory),
        one.failures + other.failures,
    )


if __name__ == "__main__":
    sys.exit(main())
