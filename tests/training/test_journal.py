from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.progress import RunDisplay, SilentProgress
from dancelcm_cli.training import journal as journal_module
from dancelcm_cli.training.journal import MOTION_WINDOW, open_journal
from dancelcm_cli.training.validation import picture_path


class Listening(SilentProgress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.validations: list[tuple[int, dict[str, float]]] = []
        self.steps: list[int] = []

    def run(self, total: int, completed: int = 0) -> AbstractContextManager[RunDisplay]:
        return nullcontext(self)

    def step(self, done: int, losses: Mapping[str, float]) -> None:
        self.steps.append(done)

    def row(self, done: int, figures: Mapping[str, float]) -> None:
        self.rows.append((done, dict(figures)))

    def validation(self, done: int, figures: Mapping[str, float]) -> None:
        self.validations.append((done, dict(figures)))

    def note(self, message: str) -> None:
        self.notes.append(message)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(journal_module.time, "perf_counter", lambda: self.now)

    def batches(self, count: int, seconds: float) -> Iterator[int]:
        for batch in range(count):
            self.now += seconds
            yield batch


def keep(
    run: Path,
    losses: list[dict[str, float]],
    progress: SilentProgress | None = None,
    *,
    first: int = 0,
    tensorboard: bool = False,
) -> None:
    """Keep a journal of steps with these `losses`; then write a row and a validation."""
    done, listener = first + len(losses), progress or SilentProgress()
    with open_journal(run, done, first, listener, tensorboard=tensorboard) as journal:
        for step, _ in enumerate(journal.timed(losses)):
            journal.step(first + step + 1, losses[step], num_samples=2)
        journal.row(done, {"learning_rate": 0.5})
        journal.validation(done, {"psnr_4": 20.0 + done})


def test_a_row_holds_the_means_since_the_row_before(tmp_path: Path) -> None:
    with open_journal(tmp_path, 4, 0, SilentProgress(), tensorboard=False) as journal:
        for step, _ in enumerate(journal.timed(range(4)), start=1):
            journal.step(step, {"loss": float(step), "motion": 10.0 * step, "motion_share": 0.1}, 1)
            if step % 2 == 0:
                journal.row(step, {})
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [(row["step"], row["loss"], row["motion"]) for row in rows] == [
        (2, 1.5, 15),
        (4, 3.5, 35),
    ]


def test_a_row_says_where_the_time_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with open_journal(tmp_path, 5, 0, SilentProgress(), tensorboard=False) as journal:
        for step, _ in enumerate(journal.timed(clock.batches(5, seconds=1.0)), start=1):
            clock.now += 3.0
            journal.step(step, {"loss": 1.0}, num_samples=6)
            if step == 2:
                journal.row(step, {})
            clock.now += 50.0  # a validation or a checkpoint: no part of a step
        journal.row(5, {})
    for row in read_rows(tmp_path / "metrics.jsonl"):
        assert row["seconds_per_step"] == pytest.approx(4.0)
        assert row["waiting_share"] == pytest.approx(0.25)
        assert row["samples_per_second"] == pytest.approx(1.5)


def test_rows_are_plain_finite_numbers_and_count_skipped_steps(tmp_path: Path) -> None:
    keep(tmp_path, [{"loss": 1.0, "spread_ratio": math.inf}, {}, {"loss": 3.0}, {}])
    row = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert all(math.isfinite(value) for value in row.values())
    assert (row["loss"], row["skipped_steps"], row["learning_rate"]) == (2.0, 2, 0.5)
    assert "spread_ratio" not in row
    assert 0 < row["peak_memory_gib"] < 1000


def test_steps_that_were_all_skipped_make_a_row_too(tmp_path: Path) -> None:
    keep(tmp_path, [{}, {}])
    row, validation = read_rows(tmp_path / "metrics.jsonl")
    assert row["skipped_steps"] == 2 and "loss" not in row
    assert validation == {"step": 2, "psnr_4": 22.0}


def test_whoever_watches_is_told_what_is_written(tmp_path: Path) -> None:
    listener = Listening()
    keep(tmp_path, [{"loss": 1.0}] * 3, listener)
    written = read_rows(tmp_path / "metrics.jsonl")
    told = [*listener.rows, *listener.validations]
    assert [{"step": step, **figures} for step, figures in told] == written
    assert listener.steps == [1, 2, 3]


def test_rows_after_the_step_that_a_run_goes_back_to_are_dropped(tmp_path: Path) -> None:
    for first in (0, 2, 4):
        keep(tmp_path, [{"loss": 1.0}] * 2, first=first)
    keep(tmp_path, [{"loss": 5.0}], first=2)
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 2, 3, 3]
    assert rows[2]["loss"] == 5.0


def test_each_validation_draws_the_curves_anew(tmp_path: Path) -> None:
    keep(tmp_path, [{"loss": 1.0}])
    first = (tmp_path / "curves.png").read_bytes()
    keep(tmp_path, [{"loss": 2.0}], first=1)
    assert (tmp_path / "curves.png").read_bytes() != first
    Image.open(tmp_path / "curves.png").verify()


def motion(share: float) -> dict[str, float]:
    return {"loss": 1.0, "motion": 0.1, "motion_share": share}


@pytest.mark.parametrize(("share", "remedy"), [(0.001, "lower"), (0.8, "raise")])
def test_a_motion_mask_that_does_little_is_warned_of_once(
    tmp_path: Path, share: float, remedy: str
) -> None:
    listener = Listening()
    keep(tmp_path, [motion(share)] * (MOTION_WINDOW - 1), listener)
    assert not listener.notes  # a few clips prove nothing
    keep(tmp_path, [motion(share)] * (3 * MOTION_WINDOW), listener)
    (note,) = listener.notes
    assert f"{remedy} preprocess.motion_threshold" in note
    assert f"{share:.1%}" in note


@pytest.mark.parametrize(
    "losses",
    [
        [motion(0.2)] * 3 * MOTION_WINDOW,
        [motion(0.0), motion(0.02)] * 2 * MOTION_WINDOW,  # the mean counts, not a clip
        [{"loss": 1.0, "motion_share": 0.0}] * 2 * MOTION_WINDOW,  # no weight on motion
    ],
)
def test_a_motion_mask_that_works_is_not_warned_of(
    tmp_path: Path, losses: list[dict[str, float]]
) -> None:
    listener = Listening()
    keep(tmp_path, losses, listener)
    assert not listener.notes


def read_events(run: Path) -> object:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return events


def test_event_files_hold_the_numbers_of_the_rows_and_the_strips(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    strip = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    picture_path(tmp_path, 2).parent.mkdir()
    Image.fromarray(strip).save(picture_path(tmp_path, 2))
    keep(tmp_path, [{"loss": 0.25, "consistency": 0.125}] * 2, tensorboard=True)
    events = read_events(tmp_path)
    row, validation = read_rows(tmp_path / "metrics.jsonl")
    written = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    assert written == {
        f"{group}/{name}": [(2, pytest.approx(value, rel=1e-6))]
        for group, figures in (("training", row), ("validation", validation))
        for name, value in figures.items()
        if name != "step"
    }
    (picture,) = events.Images("samples")
    assert (picture.step, picture.height, picture.width) == (2, 2, 3)


def test_event_files_forget_what_came_after_the_step_a_run_goes_back_to(tmp_path: Path) -> None:
    for first, loss in ((0, 1.0), (2, 2.0), (2, 3.0)):
        keep(tmp_path, [{"loss": loss}] * 2, first=first, tensorboard=True)
    losses = read_events(tmp_path).Scalars("training/loss")
    assert [(event.step, event.value) for event in losses] == [(2, 1.0), (4, 3.0)]
