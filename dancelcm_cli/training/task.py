"""What a run trains, on what, and how long."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn

from dancelcm_cli.config.schema import ComputeConfig, OptimizerConfig
from dancelcm_cli.training.ema import Average

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


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
    compute: ComputeConfig


class Batches(Protocol[Batch_co]):
    """Batches by step: any may be asked for at any time, and is always the same."""

    def __len__(self) -> int: ...

    def part(self, step: int, part: int, parts: int) -> Batch_co:
        """Return the `part`-th of `parts` equal parts of the batch of `step`."""
        ...

    def shape(self, step: int) -> tuple[int, int]:
        """Return how many samples the whole batch of `step` holds, and how many frames each."""
        ...


@dataclass(frozen=True)
class Criterion:
    """The figure of a validation that tells which step's model is the best."""

    figure: str
    largest: bool  # is the largest the best, or the smallest

    def prefers(self, figures: Mapping[str, float], others: Mapping[str, float]) -> bool:
        """Tell whether `figures` are better than `others`; a missing figure is the worst."""
        return self._merit(figures) > self._merit(others)

    def _merit(self, figures: Mapping[str, float]) -> float:
        value = figures.get(self.figure, math.nan)
        if not math.isfinite(value):
            return -math.inf
        return value if self.largest else -value


@dataclass(frozen=True)
class Task(Generic[Batch]):
    """What is trained, on what, and how one step's losses come about.

    `losses(network, batch)` returns named scalars of the network, which may come wrapped; `loss`
    among them is minimised. `validate(step)` returns named figures of `average.network` and may
    write pictures into the run folder; `criterion` is one of the figures.
    """

    network: nn.Module
    average: Average[Any]
    batches: Batches[Batch]
    losses: Callable[[Any, Batch], dict[str, Tensor]]
    validate: Callable[[int], dict[str, float]]
    criterion: Criterion
