"""Reads the files of cases as it is told to, a line of JSON for each, and answers with another.

    python -m tests.reliability.hostile.worker

It is a process of its own, so that a case which kills or stops it is one failure and not the end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from dancelcm_cli.errors import DanceLCMError, refused_by_system
from tests.reliability.hostile.kinds import KINDS, Kind
from tests.reliability.hostile.limits import limit_addresses, measured
from tests.reliability.hostile.mutation import mutate

EXIT_CODES = (2, 3)  # for the user to mend, weights missing
SHOWN = 12  # lines of a traceback


def main() -> None:
    """Answer requests: {"kind": NAME, "samples": FOLDER, "scratch": FOLDER, "seed": NUMBER}."""
    warnings.simplefilter("ignore")  # as the root command does
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    warm: set[str] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        kind, samples, scratch = (
            KINDS[asked["kind"]],
            Path(asked["samples"]),
            Path(asked["scratch"]),
        )
        if kind.name not in warm:
            try:
                _warm_up(kind, samples, scratch)
            except Exception:
                print(json.dumps({"broken": traceback.format_exc()}), file=channel)
                raise
            limit_addresses()
            warm.add(kind.name)
        print(json.dumps(run_case(kind, samples, scratch, asked["seed"])), file=channel)


def run_case(kind: Kind, samples: Path, scratch: Path, seed: int) -> dict[str, object]:
    """Change one of the sample files, read it, and return what became of that."""
    place = Path(tempfile.mkdtemp(dir=scratch))
    folder = place / "given"
    shutil.copytree(samples, folder)
    path = change(kind, samples, folder, seed)
    with measured() as cost:
        verdict, detail = _attempt(kind, folder, path)
    strangers = [entry.name for entry in place.iterdir() if entry != folder]
    if strangers:
        verdict, detail = "failed", f"wrote {strangers} outside its folder"
    shutil.rmtree(place)
    return {
        "seed": seed,
        "file": path.relative_to(folder).as_posix(),
        "verdict": verdict,
        "detail": detail,
        "seconds": cost.seconds,
        "memory": cost.memory,
    }


def change(kind: Kind, samples: Path, folder: Path, seed: int) -> Path:
    """Change a file of `folder`, a copy of `samples`, as `seed` says, and return its path."""
    targets = kind.targets(samples)
    target = random.Random(seed).choice(targets)
    others = [(samples / other).read_bytes() for other in targets]
    path = folder / target
    path.write_bytes(mutate(path.read_bytes(), others, seed))
    return path


def _attempt(kind: Kind, folder: Path, path: Path) -> tuple[str, str]:
    """Read `path`; return "accepted", "refused" or "failed", and why."""
    try:
        _read_as_command(kind, folder, path)
    except DanceLCMError as error:
        if error.exit_code not in EXIT_CODES:
            return "failed", f"exit code {error.exit_code}: {error.message}"
        named = str(folder) in error.message or path.name in error.message
        if not named and not kind.names_key:
            return "failed", f"names no file: {error.message}"
        return "refused", error.message
    except BaseException:  # also a panic of a library in Rust, which is no Exception
        return "failed", "\n".join(traceback.format_exc().splitlines()[-SHOWN:])
    return "accepted", ""


def _read_as_command(kind: Kind, folder: Path, path: Path) -> None:
    """Read `path`; what the system refuses of a named file is told as the root command does."""
    try:
        kind.read(folder, path)
    except OSError as error:
        if error.filename is None:
            raise
        raise refused_by_system(error) from error


def _warm_up(kind: Kind, samples: Path, scratch: Path) -> None:
    """Read the files as they are: what is imported and mapped then is no case's."""
    for target in kind.targets(samples):
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            folder = Path(place, "given")
            shutil.copytree(samples, folder)
            kind.read(folder, folder / target)


if __name__ == "__main__":
    main()
