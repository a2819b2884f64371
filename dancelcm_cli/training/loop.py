"""The one training loop: steps, and between them rows, validations, checkpoints and a way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from dancelcm_cli.ahead import ahead
from dancelcm_cli.core.misfits import list_misfits, refuse_misfits, shapes_of
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.data.checkpoints import (
    BestCheckpoint,
    latest_shapes,
    load_average,
    load_latest_checkpoint,
    mark_best,
    recall_best,
    remove_old_checkpoints,
    save_checkpoint,
    with_best,
)
from dancelcm_cli.errors import DanceLCMError, InterruptedRunError
from dancelcm_cli.interrupt import StopRequest
from dancelcm_cli.progress import Progress, SilentRunDisplay
from dancelcm_cli.training.batches import part_of
from dancelcm_cli.training.journal import Journal, open_journal
from dancelcm_cli.training.placement import load_weights
from dancelcm_cli.training.task import Batch, Batches, LoopConfig, Task
from dancelcm_cli.training.trainer import Trainer, frozen_names, learnt_weights

LOG_EVERY = 10  # steps between rows of metrics.jsonl
PREPARED = 3  # batches that are made ahead
MAX_BAD_STEPS = 20  # non-finite losses in a row after which a run gives up


def refuse_impossible(
    run: Path, task: Task[Any], config: LoopConfig, processes: Processes = ALONE
) -> None:
    """Refuse what would fail in the midst of the run, or when it takes up its checkpoint.

    Raises:
        InputError: a batch cannot be divided evenly; or the newest checkpoint of `run` is of
            another network.
    """
    for count in {task.batches.shape(step)[0] for step in range(config.steps)}:
        part_of(0, count, 0, parts=processes.count * config.compute.accumulation)
    found = latest_shapes(run)
    if found is not None:
        expected = shapes_of(learnt_weights(task.network, frozen_names(task.network)))
        refuse_misfits(
            f"The checkpoints of {run} do not fit the network",
            list_misfits(expected, found),
            hint="Resume a run with its own settings: leave out --recipe, and each --set that "
            "changes the network.",
        )


def run_loop(
    run: Path,
    task: Task[Any],
    config: LoopConfig,
    progress: Progress,
    command: str,
    processes: Processes = ALONE,
) -> BestCheckpoint:
    """Train `task.network` until `config.steps`, from the newest checkpoint of `run` if any.

    Returns the step whose validation was the best, or step 0 where none had a finite figure. In the
    first process, `task.average.network` is then of that step, or else of the last. `command`
    resumes the run and is shown when it is interrupted.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM in any process; a checkpoint is written first.
        DanceLCMError: the loss stayed non-finite; the last checkpoint is intact.
    """
    checkpoint = load_latest_checkpoint(run, progress.note)
    first = 0 if checkpoint is None else checkpoint.step
    trainer = Trainer(task, config, processes, checkpoint)
    since_row = {} if checkpoint is None else checkpoint.numbers
    best = recall_best(run, checkpoint) if processes.first else BestCheckpoint()
    best = processes.gather(best)[0]
    del checkpoint  # as large as all networks
    with StopRequest() as stop, _journal(run, config, first, progress, processes) as journal:
        journal.go_on(since_row)
        batches = journal.timed(_prepared(task.batches, first, config, processes))
        for done, parts in enumerate(batches, start=first + 1):
            losses = trainer.step(done - 1, parts)
            if trainer.bad_steps >= MAX_BAD_STEPS:
                raise DanceLCMError(
                    f"The loss was not finite {MAX_BAD_STEPS} times in a row, at step {done - 1}.",
                    hint=f"Lower the learning rate, then continue with: {command}",
                )
            last = done == config.steps
            journal.step(done, losses, num_samples=task.batches.shape(done - 1)[0])
            if done % LOG_EVERY == 0 or last:
                figures = trainer.figures(done - 1)
                if processes.first:
                    journal.row(done, figures)
            improved = False
            if done % config.validate_every == 0 or last:
                figures = trainer.validate(done)
                if processes.first:
                    journal.validation(done, figures)
                improved = task.criterion.prefers(figures, best.figures)
                best = BestCheckpoint(done, figures) if improved else best
            stopping = any(processes.gather(stop.wanted))  # a later signal waits for the next step
            if improved or done % config.checkpoint_every == 0 or last or stopping:
                _save(run, trainer, journal, done, best, config.keep_checkpoints)
            if stopping and not last:
                raise InterruptedRunError(
                    f"Stopped after step {done} of {config.steps}; nothing is lost.",
                    hint=f"Continue with: {command}",
                )
    newest = max(first, config.steps)  # a run may be resumed with fewer steps than it has done
    if processes.first:  # a kill may have come before the last time
        remove_old_checkpoints(run, newest, config.keep_checkpoints)
    if processes.first and best.step not in (0, newest):
        load_weights(task.average.network, load_average(run, best.step))
    return best


def _journal(
    run: Path, config: LoopConfig, first: int, progress: Progress, processes: Processes
) -> AbstractContextManager[Journal]:
    """Open the journal of the run; the other processes' only takes the time."""
    if not processes.first:
        return nullcontext(Journal(run, SilentRunDisplay(), progress.note))
    events = config.compute.tensorboard
    return open_journal(run, config.steps, first, progress, tensorboard=events)


def _prepared(
    batches: Batches[Batch], first: int, config: LoopConfig, processes: Processes
) -> Iterator[list[Batch]]:
    """Yield this process's parts of the batches from `first` on, made in a thread meanwhile."""
    per_process = config.compute.accumulation
    parts = processes.count * per_process
    own = range(processes.rank * per_process, (processes.rank + 1) * per_process)

    def make(step: int) -> list[Batch]:
        return [batches.part(step, part, parts) for part in own]

    return ahead(map(make, range(first, len(batches))), PREPARED)


def _save(
    run: Path,
    trainer: Trainer[Any],
    journal: Journal,
    step: int,
    best: BestCheckpoint,
    keep: int,
) -> None:
    checkpoint = trainer.checkpoint(step)
    if not trainer.processes.first:
        return
    checkpoint = replace(checkpoint, numbers={**checkpoint.numbers, **journal.since_row()})
    save_checkpoint(run, with_best(checkpoint, best))
    if best.step == step:
        mark_best(run, best)
    remove_old_checkpoints(run, step, keep)
