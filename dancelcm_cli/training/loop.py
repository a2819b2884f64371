"""The one training loop: optimizer, average, checkpoints, metrics; the step comes from outside."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import OptimizerConfig
from dancelcm_cli.data.checkpoints import Checkpoint, load_latest_checkpoint, save_checkpoint
from dancelcm_cli.data.jsonl import append_rows, read_rows, rewrite_rows
from dancelcm_cli.errors import DanceLCMError, InterruptedRunError
from dancelcm_cli.progress import Progress
from dancelcm_cli.training.ema import update_average
from dancelcm_cli.training.interrupt import StopRequest
from dancelcm_cli.training.journal import Journal

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)
LOG_EVERY = 10  # steps between rows of metrics.jsonl
PREPARED = 3  # batches that are made ahead
MAX_BAD_STEPS = 20  # non-finite losses in a row after which a run gives up


@dataclass(frozen=True)
class LoopConfig:
    """What the loop itself needs to know."""

    steps: int
    ema_decay: float
    ema_warmup: bool  # start with a short average, for a network that starts untrained
    validate_every: int
    checkpoint_every: int
    keep_checkpoints: int
    optimizer: OptimizerConfig


class Batches(Protocol[Batch_co]):
    """Batches by step: any may be asked for at any time, and is always the same."""

    def __len__(self) -> int: ...

    def part(self, step: int, part: int, parts: int) -> Batch_co:
        """Return the `part`-th of `parts` equal parts of the batch of `step`."""
        ...


@dataclass(frozen=True)
class Task(Generic[Batch]):
    """What is trained, on what, and how one step's losses come about.

    `losses(network, batch)` returns named scalars of the network, which may come wrapped; `loss`
    among them is minimised. `validate(step)` returns named figures of the averaged network and may
    write pictures into the run folder.
    """

    network: nn.Module
    average: nn.Module
    batches: Batches[Batch]
    losses: Callable[[Any, Batch], dict[str, Tensor]]
    validate: Callable[[int], dict[str, float]]


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Return the rate of `step` (from 0): linear warm-up, then constant or a cosine to 1 %."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.decay == "constant":
        return config.learning_rate * warmup
    share = min(1.0, step / max(1, steps))
    return config.learning_rate * warmup * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def run_loop(
    run: Path, task: Task[Any], config: LoopConfig, progress: Progress, command: str
) -> dict[str, float]:
    """Train `task.network` until `config.steps`, from the newest checkpoint of `run` if any.

    Returns the last validation's figures. `command` resumes the run and is shown when it is
    interrupted.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM; a checkpoint is written first.
        DanceLCMError: the loss stayed non-finite; the last checkpoint is intact.
    """
    parameters = dict(task.network.named_parameters())
    optimizer = torch.optim.AdamW(
        parameters.values(),
        betas=(config.optimizer.beta1, config.optimizer.beta2),
        weight_decay=config.optimizer.weight_decay,
    )
    first, bad_steps = _restore(run, task, optimizer, parameters)
    metrics = run / "metrics.jsonl"
    if metrics.exists():
        rewrite_rows(metrics, [row for row in read_rows(metrics) if row["step"] <= first])
    figures: dict[str, float] = {}
    journal = Journal()
    with StopRequest() as stop, progress.task("Training", config.steps, first) as advance:
        for step, batch in enumerate(_prepared(task.batches, first), start=first):
            waited = journal.lap()
            losses = _optimize(task, optimizer, parameters, config, step, batch)
            bad_steps = 0 if losses else bad_steps + 1
            if bad_steps >= MAX_BAD_STEPS:
                raise DanceLCMError(
                    f"The loss was not finite {MAX_BAD_STEPS} times in a row, at step {step}.",
                    hint=f"Lower the learning rate, then continue with: {command}",
                )
            journal.count(waited, losses)
            done = step + 1
            if done % LOG_EVERY == 0 or done == config.steps:
                append_rows(metrics, [{"step": done, **journal.summary()}])
            validates = done % config.validate_every == 0 or done == config.steps
            if validates:
                figures = task.validate(done)
                append_rows(metrics, [{"step": done, **figures}])
            stopping = stop.wanted  # asked once: a later signal stops after the next step
            if done % config.checkpoint_every == 0 or done == config.steps or stopping:
                _save(run, task, optimizer, parameters, done, bad_steps, config.keep_checkpoints)
            advance(1, _note(losses, figures))
            if stopping and done < config.steps:
                raise InterruptedRunError(
                    f"Stopped after step {done} of {config.steps}; nothing is lost.",
                    hint=f"Continue with: {command}",
                )
            journal.lap()
    return figures or _last_figures(metrics)


def _optimize(
    task: Task[Any],
    optimizer: torch.optim.AdamW,
    parameters: Mapping[str, Tensor],
    config: LoopConfig,
    step: int,
    batch: Any,
) -> dict[str, float]:
    """Do one step and return its losses, or nothing where they were not finite."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config.optimizer, step, config.steps)
    losses = task.losses(task.network, batch)
    optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(parameters.values(), config.optimizer.max_grad_norm)
    if not torch.isfinite(norm) or not torch.isfinite(losses["loss"]):
        return {}
    optimizer.step()
    decay = (
        min(config.ema_decay, (1 + step) / (10 + step)) if config.ema_warmup else config.ema_decay
    )
    update_average(task.average, task.network, decay)
    return {name: float(value.detach()) for name, value in losses.items()} | {
        "gradient_norm": float(norm)
    }


def _note(losses: Mapping[str, float], figures: Mapping[str, float]) -> str:
    loss = f"loss {losses['loss']:.4f}" if losses else "loss not finite, step skipped"
    return "  ".join([loss, *(f"{name} {value:.4g}" for name, value in figures.items())])


def _last_figures(metrics: Path) -> dict[str, float]:
    """Return what the last validation of a finished run wrote."""
    rows = [row for row in read_rows(metrics) if "loss" not in row]
    return {name: value for name, value in rows[-1].items() if name != "step"} if rows else {}


def _prepared(batches: Batches[Batch], first: int) -> Iterator[Batch]:
    """Yield batches from `first` on, each made in a thread while the one before trains."""
    steps = iter(range(first, len(batches)))
    with ThreadPoolExecutor(max_workers=1) as pool:
        queue = deque(pool.submit(batches.part, step, 0, 1) for step in islice(steps, PREPARED))
        try:
            while queue:
                batch = queue.popleft().result()
                queue.extend(pool.submit(batches.part, step, 0, 1) for step in islice(steps, 1))
                yield batch
        finally:
            for future in queue:
                future.cancel()


def _save(
    run: Path,
    task: Task[Any],
    optimizer: torch.optim.AdamW,
    parameters: Mapping[str, Tensor],
    step: int,
    bad_steps: int,
    keep: int,
) -> None:
    moments = {
        f"{name}/{kind}": value
        for name, parameter in parameters.items()
        for kind, value in optimizer.state[parameter].items()
    }
    tensors = {
        "network": task.network.state_dict(),
        "average": task.average.state_dict(),
        "optimizer": moments,
    }
    save_checkpoint(run, Checkpoint(step, tensors, {"bad_steps": bad_steps}), keep)


def _restore(
    run: Path,
    task: Task[Any],
    optimizer: torch.optim.AdamW,
    parameters: Mapping[str, Tensor],
) -> tuple[int, int]:
    """Load the newest checkpoint; return its step and its count of bad steps."""
    checkpoint = load_latest_checkpoint(run)
    if checkpoint is None:
        return 0, 0
    task.network.load_state_dict(checkpoint.tensors["network"])
    task.average.load_state_dict(checkpoint.tensors["average"])
    for name, value in checkpoint.tensors["optimizer"].items():
        parameter, _, kind = name.rpartition("/")
        optimizer.state[parameters[parameter]][kind] = value
    return checkpoint.step, int(checkpoint.numbers["bad_steps"])
