"""A rehearsal: a few steps of a run for real, which tell what the whole of it will take."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.device import device_name, peak_memory
from dancelcm_cli.core.processes import Processes, join_processes
from dancelcm_cli.data.atomic import require_writable
from dancelcm_cli.errors import DISK_FULL, InputError
from dancelcm_cli.progress import Progress, RunDisplay, SilentProgress
from dancelcm_cli.training.loop import refuse_impossible, run_loop
from dancelcm_cli.training.preparation import PreparedRun
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.task import Batch, Batches


@dataclass(frozen=True)
class Rehearsal:
    """What a run takes, by what its rehearsal took. Times are in seconds, sizes in bytes."""

    device: str
    trainable_parameters: int
    loss: float | None  # of the last step; None where it was not finite
    peak_memory: int | None  # None where the system does not tell
    steps: int
    step_seconds: float  # the mean over the whole run
    beginning_seconds: float  # before the first step
    validations: int
    validation_seconds: float
    checkpoints: int
    checkpoint_seconds: float
    checkpoint_size: int
    kept_checkpoints: int
    free_size: int  # on the disk of the output
    disk: Path

    @property
    def seconds(self) -> float:
        """How long the whole run takes."""
        return (
            self.beginning_seconds
            + self.steps * self.step_seconds
            + self.validations * self.validation_seconds
            + self.checkpoints * self.checkpoint_seconds
        )

    @property
    def needed_size(self) -> int:
        """Room for the checkpoints that are kept, and for one more while it is written."""
        return (self.kept_checkpoints + 1) * self.checkpoint_size


def rehearse(
    prepare: Callable[[RunInputs, Path, Recipe], PreparedRun],
    inputs: RunInputs,
    output: Path,
    recipe: Recipe,
    progress: Progress,
) -> Rehearsal | None:
    """Build a run; train each shape of batch twice, to warm up and for the clock; validate; save.

    All of it is written into a temporary folder on the disk of `output`, which is left alone; only
    pose pictures that the recipe keeps stay, beside the shards, for the run itself. Of several
    processes the first one tells; the others return None.

    Raises:
        InputError: the disk has no room for a checkpoint, or cannot be written to.
    """
    processes = join_processes(recipe.device)
    require_writable(output)
    disk = next(folder for folder in output.absolute().parents if folder.is_dir())
    short = replace(recipe, distill=replace(recipe.distill, teacher_steps=1))
    watch = _Stopwatch()
    with _temporary_folder(disk, processes) as folder:
        run = prepare(inputs, folder, short)
        if processes.first:
            run.draw(progress)
            started = time.perf_counter()
            run.begin(progress)
            watch.beginning = time.perf_counter() - started
        refuse_impossible(folder, run.task, run.config, processes)
        shapes = steps_by_shape(run.task.batches)
        _train(run, [steps[0] for steps in shapes], folder, watch, processes)
        files = [file for file in (folder / "checkpoints").rglob("*") if file.is_file()]
        checkpoint_size = sum(file.stat().st_size for file in files)
    if not processes.first:
        return None
    config, parameters = run.config, list(run.task.network.parameters())
    stepping = sum(
        len(steps) * seconds for steps, seconds in zip(shapes, watch.step_seconds, strict=True)
    )
    return Rehearsal(
        device=device_name(parameters[0].device),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        loss=watch.loss,
        peak_memory=peak_memory(),
        steps=config.steps,
        step_seconds=stepping / config.steps,
        beginning_seconds=watch.beginning * recipe.distill.teacher_steps,
        validations=math.ceil(config.steps / config.validate_every),
        validation_seconds=watch.validated - watch.marks[-1],
        checkpoints=math.ceil(config.steps / config.checkpoint_every),
        checkpoint_seconds=watch.ended - watch.validated,
        checkpoint_size=checkpoint_size,
        kept_checkpoints=config.keep_checkpoints + 1,  # the best one is kept beside them
        free_size=shutil.disk_usage(disk).free,
        disk=disk,
    )


@contextmanager
def _temporary_folder(disk: Path, processes: Processes) -> Iterator[Path]:
    """Make a folder on `disk` for all processes, and remove it when the first is done with it."""
    if not processes.first:
        yield Path(processes.gather("")[0])
        return
    try:
        with TemporaryDirectory(prefix=".tmp-", dir=disk) as name:
            yield Path(processes.gather(name)[0])
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"The disk of {disk} must have room for a checkpoint, but it is full.",
            hint="Free some space, or choose an --output on another disk.",
        ) from error


def steps_by_shape(batches: Batches[Batch]) -> list[list[int]]:
    """Return the steps whose batches have the same shape, for each shape."""
    shapes: dict[tuple[int, int], list[int]] = {}
    for step in range(len(batches)):
        shapes.setdefault(batches.shape(step), []).append(step)
    return list(shapes.values())


def _train(
    run: PreparedRun,
    steps: Sequence[int],
    folder: Path,
    watch: _Stopwatch,
    processes: Processes,
) -> None:
    """Train twice on the batch of each of `steps`: to warm up, and for the clock."""
    chosen = [step for step in steps for _ in range(2)]
    count = len(chosen)
    task = replace(run.task, batches=_Chosen(run.task.batches, chosen))
    config = replace(run.config, steps=count, validate_every=count, checkpoint_every=count)
    run_loop(folder, task, config, watch, "the same command again", processes)
    watch.ended = time.perf_counter()


@dataclass(frozen=True)
class _Chosen(Generic[Batch]):
    """Some of the batches of a run."""

    batches: Batches[Batch]
    steps: Sequence[int]

    def __len__(self) -> int:
        return len(self.steps)

    def part(self, step: int, part: int, parts: int) -> Batch:
        return self.batches.part(self.steps[step], part, parts)

    def shape(self, step: int) -> tuple[int, int]:
        return self.batches.shape(self.steps[step])


class _Stopwatch(SilentProgress):
    """Notes how long the beginning took, and when each step, the validation and all ended."""

    def __init__(self) -> None:
        self.beginning = self.validated = self.ended = 0.0
        self.marks: list[float] = []
        self.loss: float | None = None

    @property
    def step_seconds(self) -> list[float]:
        """How long every second step took."""
        pairs = zip(self.marks[::2], self.marks[1::2], strict=True)
        return [end - start for start, end in pairs]

    def run(self, total: int, completed: int = 0) -> AbstractContextManager[RunDisplay]:
        return nullcontext(self)

    def step(self, done: int, losses: Mapping[str, float]) -> None:
        self.marks.append(time.perf_counter())
        self.loss = losses.get("loss")

    def row(self, done: int, figures: Mapping[str, float]) -> None: ...

    def validation(self, done: int, figures: Mapping[str, float]) -> None:
        self.validated = time.perf_counter()
