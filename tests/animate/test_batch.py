from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.animate import batch, pipeline
from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.batch import run_batch
from dancelcm_cli.animate.outputs import Delivery
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.errors import InterruptedRunError
from dancelcm_cli.progress import SilentProgress

SILENT = SilentProgress()


@pytest.fixture
def jobs(
    model: Path, photo: Path, dancer: Path, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> list[Job]:
    """Three jobs that differ in their seed."""
    shared = Model(model)
    return [
        Job(photo, dancer, tmp_path / f"{seed}.mp4", shared, make_recipe(f"seed={seed}"))
        for seed in range(3)
    ]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The models that are loaded."""
    loaded: list[Path] = []

    class Counted(Animator):
        def __init__(self, model: Path, recipe: Recipe) -> None:
            loaded.append(model)
            super().__init__(model, recipe)

    monkeypatch.setattr(batch, "Animator", Counted)
    return loaded


def states(jobs: list[Job], delivery: Delivery | None = None) -> list[str]:
    return [result.state for result in run_batch(jobs, delivery or Delivery(), SILENT)]


def test_each_job_gives_what_it_gives_alone_and_the_model_is_loaded_once(
    jobs: list[Job], loads: list[Path], tmp_path: Path
) -> None:
    assert states(jobs) == ["done"] * 3
    assert len(loads) == 1
    alone = replace(jobs[2], output=tmp_path / "alone.mp4")
    pipeline.animate(alone, Delivery(), lambda: Animator(alone.model.path, alone.recipe), SILENT)
    frames = [read_frames(path)[0] for path in (alone.output, jobs[2].output, jobs[1].output)]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


def test_finished_jobs_are_skipped_without_loading_the_model(
    jobs: list[Job], loads: list[Path]
) -> None:
    states(jobs[:2])
    before = [job.output.stat().st_mtime_ns for job in jobs[:2]]
    assert states(jobs) == ["skipped", "skipped", "done"]
    assert states(jobs) == ["skipped"] * 3
    assert [job.output.stat().st_mtime_ns for job in jobs[:2]] == before
    assert len(loads) == 2


def test_what_was_made_otherwise_is_replaced_only_if_asked_to(
    jobs: list[Job], make_recipe: Callable[..., Recipe]
) -> None:
    states(jobs[:1])
    changed = [replace(jobs[0], recipe=make_recipe("seed=9"))]
    (result,) = run_batch(changed, Delivery(), SILENT)
    assert (result.state, "must not exist already" in result.reason) == ("failed", True)
    assert states(changed, Delivery(overwrite=True)) == ["done"]
    assert states(jobs[:1], Delivery(overwrite=True)) == ["done"]
    assert states(jobs[:1], Delivery(overwrite=True)) == ["skipped"]
    assert states(jobs[:1], Delivery(overwrite=True, compare=True)) == ["done"]
    jobs[0].output.unlink()
    assert states(jobs[:1], Delivery(overwrite=True, compare=True)) == ["done"]


def test_one_failure_does_not_stop_the_rest(
    jobs: list[Job], make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    missing = replace(jobs[0], reference=tmp_path / "missing.png")
    many_steps = replace(jobs[1], recipe=make_recipe("animate.steps=51"))
    results = run_batch([missing, many_steps, jobs[2]], Delivery(), SILENT)
    assert [result.state for result in results] == ["failed", "failed", "done"]
    assert "does not exist" in results[0].reason
    assert "from 1 to 50" in results[1].reason


def test_even_a_failure_that_nobody_foresaw_does_not_stop_the_rest(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def animate(job: Job, *arguments: object) -> None:
        if job is jobs[0]:
            raise ZeroDivisionError("of\nsomething")

    monkeypatch.setattr(batch, "animate", animate)
    first, *others = run_batch(jobs, Delivery(), SILENT)
    assert first.reason == "ZeroDivisionError: of something"
    assert [other.state for other in others] == ["done", "done"]


def test_an_interruption_says_how_far_it_came(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def animate(job: Job, *arguments: object) -> None:
        if job is jobs[1]:
            raise KeyboardInterrupt

    monkeypatch.setattr(batch, "animate", animate)
    with pytest.raises(InterruptedRunError, match="after 1 of 3 jobs"):
        run_batch(jobs, Delivery(), SILENT)
