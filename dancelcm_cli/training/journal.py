"""What a run tells of itself while it trains: rows, curves, event files, and what is shown."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from dancelcm_cli.core.device import peak_memory
from dancelcm_cli.data.jsonl import append_rows, read_rows, rewrite_rows
from dancelcm_cli.progress import Progress, RunDisplay
from dancelcm_cli.training.curves import draw_curves
from dancelcm_cli.training.event_files import EventFiles
from dancelcm_cli.training.validation import picture_path

GIB = 2**30
USUAL_MOTION = (0.005, 0.6)  # shares of moving places between which the motion weight does its work
SUM, COUNT, SKIPPED = "sum/", "count/", "skipped"  # names of numbers in a checkpoint
MOTION_WINDOW = 100  # steps over which that share is judged

Item = TypeVar("Item")


class Journal:
    """Collects losses and times step by step; tells them row by row.

    Rows hold finite numbers only: the means of the losses since the row before, where the time
    went, and what the loop adds. Those of a validation have figures alone.
    """

    def __init__(
        self,
        run: Path,
        display: RunDisplay,
        note: Callable[[str], None],
        events: EventFiles | None = None,
    ) -> None:
        self._run, self._display, self._note, self._events = run, display, note, events
        self._metrics = run / "metrics.jsonl"
        self._motion: deque[float] | None = deque(maxlen=MOTION_WINDOW)  # None: warned already
        self._clear()

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield `batches` and count how long the run waits for each."""
        remaining = iter(batches)
        while True:
            asked = time.perf_counter()
            try:
                batch = next(remaining)
            except StopIteration:
                return
            self._arrived = time.perf_counter()
            self._waited += self._arrived - asked
            yield batch

    def step(self, done: int, losses: Mapping[str, float], num_samples: int) -> None:
        """Count a step on the batch that came last; no `losses` stand for one that was skipped."""
        self._worked += time.perf_counter() - self._arrived
        self._steps += 1
        self._samples += num_samples
        self._skipped += not losses
        for name, value in losses.items():
            self._sums[name] += value
            self._counts[name] += 1
        if "motion" in losses:
            self._watch_motion(losses["motion_share"])
        self._display.step(done, losses)

    def row(self, done: int, figures: Mapping[str, float]) -> None:
        """Write and show the means of the steps since the last row, with `figures` beside them."""
        seconds = self._waited + self._worked
        memory = peak_memory()
        row = {
            **{name: total / self._counts[name] for name, total in self._sums.items()},
            **figures,
            "samples_per_second": self._samples / seconds,
            "seconds_per_step": seconds / self._steps,
            "waiting_share": self._waited / seconds,
            **({} if memory is None else {"peak_memory_gib": memory / GIB}),
            "skipped_steps": float(self._skipped),
        }
        self._clear()
        finite = {name: value for name, value in row.items() if math.isfinite(value)}
        append_rows(self._metrics, [{"step": done, **finite}])
        self._display.row(done, finite)
        if self._events is not None:
            self._events.figures("training", done, finite)

    def since_row(self) -> dict[str, float]:
        """Return, as numbers for a checkpoint, what the next row will be about so far."""
        sums = {name: total for name, total in self._sums.items() if math.isfinite(total)}
        return {
            SKIPPED: self._skipped,
            **{f"{SUM}{name}": total for name, total in sums.items()},
            **{f"{COUNT}{name}": self._counts[name] for name in sums},
        }

    def go_on(self, numbers: Mapping[str, float]) -> None:
        """Take up what `since_row` returned, among other numbers, before the first step."""
        self._skipped = int(numbers.get(SKIPPED, 0))
        for name, value in numbers.items():
            if name.startswith(SUM):
                self._sums[name.removeprefix(SUM)] = value
            elif name.startswith(COUNT):
                self._counts[name.removeprefix(COUNT)] = int(value)

    def validation(self, done: int, figures: Mapping[str, float]) -> None:
        """Write and show what a validation found; draw the curves anew."""
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        append_rows(self._metrics, [{"step": done, **finite}])
        self._display.validation(done, finite)
        draw_curves(read_rows(self._metrics), self._run / "curves.png")
        if self._events is not None:
            self._events.figures("validation", done, finite)
            picture = picture_path(self._run, done)
            if picture.exists():
                self._events.picture(done, picture)

    def _watch_motion(self, share: float) -> None:
        if self._motion is None:
            return
        self._motion.append(share)
        low, high = USUAL_MOTION
        mean = fmean(self._motion)
        if len(self._motion) < MOTION_WINDOW or low <= mean <= high:
            return
        change = "lower" if mean < low else "raise"
        self._note(
            f"Warning: {mean:.1%} of all places count as moving, over {MOTION_WINDOW} steps; "
            f"outside {low:.1%} to {high:.0%} the motion weight does little. To mend it, {change} "
            "preprocess.motion_threshold and preprocess the videos again."
        )
        self._motion = None

    def _clear(self) -> None:
        self._waited = self._worked = 0.0
        self._steps = self._samples = self._skipped = 0
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)


@contextmanager
def open_journal(
    run: Path, steps: int, first: int, progress: Progress, *, tensorboard: bool
) -> Iterator[Journal]:
    """Open the journal of a run of `steps` that goes on after step `first`, and close it again.

    Rows of later steps, left by a run that then went back to an earlier checkpoint, are dropped.
    """
    metrics, files = run / "metrics.jsonl", run / "tensorboard"
    if metrics.exists():
        rewrite_rows(metrics, [row for row in read_rows(metrics) if _step(row) <= first])
    with ExitStack() as stack:
        events = stack.enter_context(EventFiles(files, first)) if tensorboard else None
        display = stack.enter_context(progress.run(steps, first))
        yield Journal(run, display, progress.note, events)


def _step(row: Mapping[str, object]) -> float:
    """Return the step of a row; one that tells none is of none that is kept."""
    step = row.get("step")
    return step if isinstance(step, int) else math.inf
