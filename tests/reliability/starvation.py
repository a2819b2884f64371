"""A disk that is full at every write in turn, for all that the toolkit writes.

    python -m tests.reliability.starvation [STAGE ...] [--points 40] [--seed 0]

Every stage is typed on a disk that ends after so many pages, after so many files, and on one where
the system refuses the n-th request to force something to it, to rename, to make a folder or to
change a length. Each time it must end with 2 and say which file had no room and what to type;
nothing temporary is left, and earlier work is as it was. Then there is room, what the hint says is
typed, and what lies there at last must equal, byte for byte, what an undisturbed run left.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import random
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

from dancelcm_cli.app import main as dancelcm
from dancelcm_cli.data.atomic import TEMPORARY_PREFIX
from tests.benchmarks.tables import Report
from tests.reliability.stages import contents
from tests.reliability.starvation_disk import SmallDisk, Taken, enter_namespace
from tests.reliability.starvation_stages import Command, Stage, make_inputs, make_stages

IMPORTED = (  # before the first fork, so that each command starts within a moment
    "dancelcm_cli.animate.batch",
    "dancelcm_cli.evaluate.runner",
    "dancelcm_cli.models.convert",
    "dancelcm_cli.models.export",
    "dancelcm_cli.preprocess.pipeline",
    "dancelcm_cli.preprocess.preview",
    "dancelcm_cli.training.runs",
    "torch._dynamo",  # by the first optimizer
)
REQUESTS = ("fsync", "replace", "mkdir", "ftruncate")  # of `os`, that a full disk refuses
CACHE = "cache"  # on the disk as well: it may be filled or not
PATIENCE = 900.0  # seconds until a command counts as hanging
FULL = re.compile(r"^error: The disk is full: (?P<path>.+) could not be written\.$", re.M)
OF_A_BATCH = re.compile(r"^error: All jobs must be done, but \d+ of \d+ failed\.$", re.M)
HINT = re.compile(r"^hint:  (?P<hint>.+)$", re.M)
TYPED = re.compile(r"type: dancelcm (?P<command>.+)$")


@dataclass(frozen=True)
class Point:
    """Where the disk is full: after so many "pages" or "files", or at a place of the "requests"."""

    kind: str
    place: int


@dataclass(frozen=True)
class Ended:
    """How a command ended, what it said, and how many requests it had for the system."""

    code: int
    said: str
    requests: int
    peak: Taken


@dataclass
class Tally:
    """What became of a stage."""

    tried: Counter[str] = field(default_factory=Counter)  # by kind of point
    fitted: int = 0  # points at which the command needed no more than there was
    faults: list[str] = field(default_factory=list)


class Refusals:
    """Makes the n-th request of this process fail, as long as it is about the disk."""

    def __init__(self, disk: Path, place: int | None) -> None:
        self.disk, self.place, self.count = str(disk), place, 0
        for name in REQUESTS:
            setattr(os, name, self._refusing(getattr(os, name)))

    def _refusing(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def asked(what: Any, *more: Any, **named: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else str(what)
            if not path.startswith(self.disk):
                return request(what, *more, **named)
            self.count += 1
            if self.count == self.place:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            return request(what, *more, **named)

        return asked


def run(
    disk: SmallDisk | None, folder: Path, command: Command, refused: int | None = None
) -> Ended:
    """Type `command` in `folder`, in a fork of this process; the `refused`-th request fails."""
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as counted:
        pid = os.fork()
        if pid == 0:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
            _be_dancelcm(folder, command, refused, counted)
        code, peak = _wait(pid, disk)
        log.seek(0)
        counted.seek(0)
        said = log.read().decode(errors="replace")
        return Ended(code, said, int(counted.read() or 0), peak)


def _be_dancelcm(
    folder: Path, command: Command, refused: int | None, counted: IO[bytes]
) -> NoReturn:
    os.chdir(folder)
    os.environ["DANCELCM_CACHE"] = str(folder / CACHE)
    sys.argv = ["dancelcm", *command]
    refusals, code = Refusals(folder, refused), 1
    try:
        dancelcm()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        counted.write(str(refusals.count).encode())
        counted.flush()
        os._exit(code)


def _wait(pid: int, disk: SmallDisk | None) -> tuple[int, Taken]:
    """Wait for a process; return its exit code and the most that was taken of the disk."""
    pages = files = 0
    ends = time.monotonic() + PATIENCE
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if disk is not None:
            taken = disk.taken
            pages, files = max(pages, taken.pages), max(files, taken.files)
        if done:
            return os.waitstatus_to_exitcode(status), Taken(pages, files)
        if time.monotonic() > ends:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def starve(stage: Stage, disk: SmallDisk, spare: Path, points: int, dice: random.Random) -> Tally:
    """Type `stage` at every point, or at `points` of each kind where there are more of them."""
    tally = Tally()
    disk.clear()
    for command in stage.before:
        _must(run(disk, disk.folder, command))
    shutil.rmtree(spare, ignore_errors=True)
    shutil.copytree(disk.folder, spare)
    begun, earlier = disk.taken, _contents(disk.folder)
    first = run(disk, disk.folder, stage.command)
    _must(first)
    whole = _contents(disk.folder)
    for point in _points(begun, first, points, dice):
        tally.tried[point.kind] += 1
        disk.clear()
        shutil.copytree(spare, disk.folder, dirs_exist_ok=True)
        tally.faults += [
            f"{point.kind} {point.place}: {fault}"
            for fault in _at(point, stage, disk, earlier, whole, tally)
        ]
    disk.clear()
    return tally


def _points(begun: Taken, first: Ended, points: int, dice: random.Random) -> Iterator[Point]:
    ranges = {
        "pages": range(begun.pages + 1, first.peak.pages + 1),
        "files": range(begun.files + 1, first.peak.files + 1),
        "requests": range(1, first.requests + 1),
    }
    for kind, places in ranges.items():
        chosen = places if not points or len(places) <= points else dice.sample(places, points)
        yield from (Point(kind, place) for place in sorted(chosen))


def _at(
    point: Point,
    stage: Stage,
    disk: SmallDisk,
    earlier: Mapping[str, bytes],
    whole: Mapping[str, bytes],
    tally: Tally,
) -> Iterator[str]:
    """Yield what is wrong with a stage that meets the end of the disk at `point`."""
    if point.kind != "requests":
        disk.limit(**{point.kind: point.place})
    refused = point.place if point.kind == "requests" else None
    ended, command = run(disk, disk.folder, stage.command, refused), stage.command
    disk.limit()
    if ended.code == 0:
        tally.fitted += 1
    else:
        yield from _complaints(ended, disk.folder)
        yield from _damage(disk.folder, earlier, whole)
        typed = TYPED.search(ended.said)
        command = tuple(shlex.split(typed["command"])) if typed else stage.command
        again = run(disk, disk.folder, command)
        if again.code != 0:
            yield f"{shlex.join(command)} ended with {again.code}: {_end(again.said)}"
            return
    found = _contents(disk.folder)
    for name in sorted(found.keys() | whole.keys()):
        if found.get(name) != whole.get(name):
            how = "differs" if name in found.keys() & whole.keys() else "is there or missing"
            yield f"at last {name} {how}"


def _complaints(ended: Ended, folder: Path) -> Iterator[str]:
    """Yield what is wrong with how a command ended that had no room."""
    told, hint = FULL.search(ended.said), HINT.search(ended.said)
    if ended.code not in (2, 5):
        yield f"ended with {ended.code}: {_end(ended.said)}"
    elif hint is None or "type" not in hint["hint"].lower():
        yield f"hinted: {_end(ended.said)}"
    elif told is None and not (OF_A_BATCH.search(ended.said) and "The disk is full" in ended.said):
        yield f"said: {_end(ended.said)}"
    elif told is not None and not _is_ours(told["path"], folder):
        yield f"named {told['path']}"


def _is_ours(path: str, folder: Path) -> bool:
    return TEMPORARY_PREFIX not in path and (folder / path).is_relative_to(folder)


def _damage(
    folder: Path, earlier: Mapping[str, bytes], whole: Mapping[str, bytes]
) -> Iterator[str]:
    """Yield what is temporary and left over, and what was there and is neither old nor new."""
    for path in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        yield f"{path.relative_to(folder)} is left over"
    found = _contents(folder)
    for name, content in earlier.items():
        now = found.get(name)
        if now is None and name in whole:
            yield f"{name} was lost"
        elif now is not None and not now.startswith(content) and now != whole.get(name):
            yield f"{name} was harmed"


def _contents(folder: Path) -> dict[str, bytes]:
    found = contents(folder)
    kept = ("events.out.tfevents", ".lock")
    return {
        name: content
        for name, content in found.items()
        if not name.startswith(CACHE) and not any(part in name for part in kept)
    }


def _must(ended: Ended) -> None:
    if ended.code != 0:
        raise RuntimeError(f"With plenty of room a command ended with {ended.code}:\n{ended.said}")


def _end(said: str) -> str:
    return " / ".join(said.strip().splitlines()[-3:])[-600:]


@contextmanager
def _workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main() -> None:
    """Starve the stages that were named, or all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE")
    parser.add_argument("--points", type=int, default=40, help="of each kind; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    asked = parser.parse_args()
    enter_namespace("tests.reliability.starvation")
    for module in IMPORTED:
        importlib.import_module(module)
    report = Report(asked.output, [f"Seed {asked.seed}, at most {asked.points} points of a kind."])
    with _workplace() as place, SmallDisk(place / "disk") as disk:
        make_inputs(place / "inputs", lambda folder, command: _must(run(None, folder, command)))
        stages = make_stages(place / "inputs")
        rows = []
        for name in asked.stages or stages:
            began = time.monotonic()
            dice = random.Random(f"{asked.seed} {name}")
            tally = starve(stages[name], disk, place / "spare", asked.points, dice)
            for fault in tally.faults:
                report.note(f"{name}, {fault}")
            tried = [tally.tried[kind] for kind in ("pages", "files", "requests")]
            seconds = f"{time.monotonic() - began:.0f}"
            rows.append([name, *tried, tally.fitted, len(tally.faults), seconds])
            print(rows[-1], flush=True)
        columns = ["stage", "pages", "files", "requests", "had room", "faults", "seconds"]
        report.table("Disk full", columns, rows)
    sys.exit(1 if any(row[5] for row in rows) else 0)


if __name__ == "__main__":
    main()
