"""What trains: a network, its optimizer and its average, and what one step does with them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Generic

import torch
from torch import Tensor, nn

from dancelcm_cli.core.processes import Processes
from dancelcm_cli.data.checkpoints import Checkpoint
from dancelcm_cli.training.optimizers import (
    learning_rate,
    load_optimizer_tensors,
    make_optimizer,
    optimizer_tensors,
)
from dancelcm_cli.training.placement import (
    load_weights,
    placed,
    synchronising,
    whole,
    whole_copies,
)
from dancelcm_cli.training.precision import computing_in
from dancelcm_cli.training.task import Batch, LoopConfig, Task


class Trainer(Generic[Batch]):
    """The state of a run. Whatever it is asked for, all processes must ask it together."""

    def __init__(
        self,
        task: Task[Batch],
        config: LoopConfig,
        processes: Processes,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.task, self.config, self.processes = task, config, processes
        self.bad_steps = 0  # in a row
        torch.backends.cudnn.benchmark = True  # shapes recur: the fastest kernels are worth finding
        if checkpoint is not None:
            self.bad_steps = int(checkpoint.numbers["bad_steps"])
            load_weights(task.network, checkpoint.tensors["network"])
            task.average.load(checkpoint.tensors["average"])
        self._network = placed(task.network, config.compute, processes)
        task.average.place(config.compute, processes)
        parameters = dict(task.network.named_parameters())
        self._frozen = frozen_names(task.network)
        self._learnt = {name: p for name, p in parameters.items() if p.requires_grad}
        self._optimizer = make_optimizer(config.optimizer, self._learnt.values())
        if checkpoint is not None:
            load_optimizer_tensors(self._optimizer, self._learnt, checkpoint.tensors["optimizer"])

    def step(self, step: int, parts: Sequence[Batch]) -> dict[str, float]:
        """Learn from this process's `parts` of a batch; return the mean losses of all parts.

        Where they are not finite, nothing changes and nothing is returned.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate(step)
        self._optimizer.zero_grad(set_to_none=True)
        seen = []
        for number, part in enumerate(parts, start=1):
            with synchronising(self._network, last=number == len(parts)):
                losses = self.task.losses(self._network, part)
                (losses["loss"] / len(parts)).backward()  # type: ignore[no-untyped-call]
            seen.append({name: value.detach() for name, value in losses.items()})
        most = self.config.optimizer.max_grad_norm
        norm = float(whole(nn.utils.clip_grad_norm_(self._learnt.values(), most)))
        means = _means(self.processes.gather([_numbers(losses) for losses in seen]))
        if not (math.isfinite(norm) and math.isfinite(means["loss"])):
            self.bad_steps += 1
            return {}
        self.bad_steps = 0
        self._optimizer.step()
        self.task.average.update(self.task.network, self._decay(step))
        return {**means, "gradient_norm": norm}

    def figures(self, step: int) -> dict[str, float]:
        """Return what to tell of the networks after `step`."""
        return {
            "learning_rate": self._rate(step),
            "average_distance": self.task.average.distance(self.task.network, self.processes),
        }

    def validate(self, step: int) -> dict[str, float]:
        """Let the first process look at the average; return what it found."""
        self.task.average.gather(self.processes)
        figures: dict[str, float] = {}
        if self.processes.first:
            device = self.task.average.device
            with self.task.average.on_device(), computing_in(self.config.compute.precision, device):
                figures = self.task.validate(step)
        return self.processes.gather(figures)[0]

    def checkpoint(self, step: int) -> Checkpoint:
        """Return what a resumed run needs, in the first process; the others get no tensors."""
        self.task.average.gather(self.processes)
        groups = {
            "network": learnt_weights(self.task.network, self._frozen),
            "average": learnt_weights(self.task.average.network, self._frozen),
            "optimizer": optimizer_tensors(self._optimizer, self._learnt),
        }
        tensors = {name: whole_copies(group, self.processes) for name, group in groups.items()}
        return Checkpoint(step, tensors, {"bad_steps": self.bad_steps})

    def _rate(self, step: int) -> float:
        return learning_rate(self.config.optimizer, step, self.config.steps)

    def _decay(self, step: int) -> float:
        decay = self.config.ema_decay
        return min(decay, (1 + step) / (10 + step)) if self.config.ema_warmup else decay


def frozen_names(network: nn.Module) -> set[str]:
    """Return the names of the weights that do not learn."""
    return {name for name, weight in network.named_parameters() if not weight.requires_grad}


def learnt_weights(network: nn.Module, frozen: Collection[str]) -> dict[str, Tensor]:
    """Return what learns of a network or its average, and its buffers: all but the `frozen`."""
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


def _numbers(losses: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in losses.items()}


def _means(seen: Iterable[Iterable[Mapping[str, float]]]) -> dict[str, float]:
    """Return each loss's mean over the parts, by process, that have it."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for parts in seen:
        for losses in parts:
            for name, value in losses.items():
                values[name].append(value)
    return {name: fmean(several) for name, several in values.items()}
