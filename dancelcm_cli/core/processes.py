"""The processes that work together: started by `accelerate launch` or `torchrun`, or one alone."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor

from dancelcm_cli.config.schema import Device
from dancelcm_cli.core.device import require_device

Value = TypeVar("Value")
PATIENCE = timedelta(hours=2)  # the others wait while the first process validates and saves


@dataclass(frozen=True)
class Processes:
    """Which process this is, `rank` from 0, and how many there are."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """Return the value of every process, by rank; all of them must call this."""
        return [value] if self.count == 1 else list(gather_object([value]))

    def share(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, by rank, on this one's device; all have one shape.

        All processes must call this.
        """
        if self.count == 1:
            return [tensor]
        tensors = [torch.empty_like(tensor) for _ in range(self.count)]
        torch.distributed.all_gather(tensors, tensor.contiguous())
        return tensors

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.gather(None)


ALONE = Processes()


def join_processes(device: Device) -> Processes:
    """Join the processes that a launcher started, each on a GPU of its own where there are GPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    on_cpu = require_device(device) == "cpu"  # without GPUs, it must be told to use the CPU
    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    atexit.register(_leave)
    return Processes(state.process_index, state.num_processes)


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
