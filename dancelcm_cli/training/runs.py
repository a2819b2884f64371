"""The three kinds of run, each from a shard folder to a model folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.device import require_device
from dancelcm_cli.core.processes import Processes, join_processes
from dancelcm_cli.progress import Progress, SilentProgress
from dancelcm_cli.training.autoencoder_run import prepare_autoencoder
from dancelcm_cli.training.loop import refuse_impossible, run_loop
from dancelcm_cli.training.preparation import PreparedRun
from dancelcm_cli.training.run_folder import RunInputs, noted_run, open_run, resume_command
from dancelcm_cli.training.student_run import prepare_student
from dancelcm_cli.training.teacher_run import prepare_teacher


@dataclass(frozen=True)
class RunSummary:
    """What a run made: the model of `model_step`, which validation, by `metrics`, liked best."""

    output: Path
    steps: int
    seconds: float
    model_step: int
    metrics: Mapping[str, float]
    processes: Processes


def train_teacher(
    shards: Path,
    output: Path,
    init: Path | None,
    recipe: Recipe,
    progress: Progress,
    *,
    resume: bool,
) -> RunSummary:
    """Train a teacher on `shards`, or fine-tune the one in the model folder `init`.

    Where `init` has an autoencoder but no network, an untrained one of the recipe's sizes is taken;
    without `init`, also the bundled autoencoder. A resumed run reads what it read before.
    """
    inputs = RunInputs("train", shards, init)
    return _run(prepare_teacher, inputs, output, recipe, progress, resume)


def train_autoencoder(
    shards: Path,
    output: Path,
    init: Path | None,
    recipe: Recipe,
    progress: Progress,
    *,
    resume: bool,
) -> RunSummary:
    """Train the small autoencoder on frames, from principal components or from `init`."""
    inputs = RunInputs("train", shards, init)
    return _run(prepare_autoencoder, inputs, output, recipe, progress, resume)


def distill_student(
    shards: Path,
    output: Path,
    teacher: Path | None,
    recipe: Recipe,
    progress: Progress,
    *,
    resume: bool,
    student: Path | None = None,
) -> RunSummary:
    """Distill the model folder `teacher` (default: the bundled one) into a student of few steps.

    The second phase starts from the model folder `student` that the first one made.
    """
    inputs = RunInputs("distill", shards, teacher, student)
    return _run(prepare_student, inputs, output, recipe, progress, resume)


def _run(
    prepare: Callable[[RunInputs, Path, Recipe], PreparedRun],
    inputs: RunInputs,
    output: Path,
    recipe: Recipe,
    progress: Progress,
    resume: bool,
) -> RunSummary:
    started = time.perf_counter()
    require_device(recipe.device)  # one that is not there is told before a folder is made
    processes = join_processes(recipe.device)
    output = processes.gather(output)[0]  # those started a second apart have named two folders
    progress = progress if processes.first else SilentProgress()
    command = resume_command(inputs.command, output)
    with open_run(output, inputs, processes, resume=resume) as inputs:
        run = prepare(inputs, output, recipe)
        refuse_impossible(output, run.task, run.config, processes)
        with noted_run(output, inputs, recipe, processes, resume=resume):
            if processes.first:
                run.draw(progress)
                run.begin(progress)
            best = run_loop(output, run.task, run.config, progress, command, processes)
            if processes.first:
                with run.task.average.on_device():
                    run.save(output / "model")
    seconds, steps = time.perf_counter() - started, run.config.steps
    return RunSummary(output, steps, seconds, best.step or steps, best.figures, processes)
