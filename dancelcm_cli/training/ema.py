"""The exponential moving average of a network, in float32 wherever there is room for it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from dancelcm_cli.config.schema import ComputeConfig
from dancelcm_cli.core.device import frozen_precision
from dancelcm_cli.core.processes import Processes
from dancelcm_cli.training.placement import load_weights, local, shard, sharded, whole

Network = TypeVar("Network", bound=nn.Module)


class Average(Generic[Network]):
    """A network's average, and a copy of it for the device where it is kept elsewhere.

    `network` is whole and float32: validation looks at it and the model folder gets it. `target` is
    what training asks, if `asked`. The two are one, unless the average is kept on the CPU or in
    shards. `device` is where training is.
    """

    def __init__(self, network: Network, compute: ComputeConfig, *, asked: bool) -> None:
        self.device = next(network.parameters()).device
        self._sharded = False
        if compute.average_device == "cpu":
            self.network = self.target = _on_cpu(_frozen_copy(network))
            if asked:
                self.target = frozen_precision(_frozen_copy(network), compute)
        elif compute.sharding == "fsdp":
            self.network, self.target = _on_cpu(_frozen_copy(network)), _frozen_copy(network)
        else:
            self.network = self.target = _frozen_copy(network, share=True)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a checkpoint's weights, before they are in shards."""
        for network in (self.network, self.target):
            load_weights(network, tensors)

    def place(self, compute: ComputeConfig, processes: Processes) -> None:
        """Keep the average in shards from now on, where the recipe wants that."""
        self._sharded = sharded(compute, processes)
        if self._sharded:
            shard(self.target, compute.precision, processes)

    def update(self, network: nn.Module, decay: float) -> None:
        """Move the average towards `network` by `1 - decay`."""
        kept = self.target if self._sharded else self.network
        update_average(kept, network, decay, self.target)

    @torch.no_grad()
    def gather(self, processes: Processes) -> None:
        """Bring `network` up to date in the first process; all must call this."""
        if not self._sharded:
            return
        for kept, part in zip(self.network.parameters(), self.target.parameters(), strict=True):
            complete = whole(part)
            if processes.first:
                kept.copy_(complete)

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """Within, `network` is where training is."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        kept = [tensor.data for tensor in tensors]
        for tensor in tensors:
            tensor.data = tensor.data.to(self.device)
        try:
            yield
        finally:
            for tensor, data in zip(tensors, kept, strict=True):
                tensor.data = data

    @torch.no_grad()
    def distance(self, network: nn.Module, processes: Processes) -> float:
        """Return how far the average is from `network`: |average - network| / |network|, Euclidean.

        Only what learns is compared. All processes must call this.
        """
        sums = torch.zeros(2, device=self.device)
        averages = self.target if self._sharded else self.network
        for kept, current in zip(averages.parameters(), network.parameters(), strict=True):
            if current.requires_grad:
                present = local(current)
                difference = local(kept).to(present.device) - present
                sums += torch.stack([difference.square().sum(), present.square().sum()])
        difference, norm = torch.tensor(processes.gather(sums.tolist())).sum(0).tolist()
        return (difference / norm) ** 0.5


@torch.no_grad()
def update_average(
    average: nn.Module, network: nn.Module, decay: float, target: nn.Module | None = None
) -> None:
    """Move `average` towards `network` by `1 - decay`, in the average's own (float32) precision.

    Buffers are copied; what does not learn is left alone. `target` becomes a copy of the average in
    its own precision. After a constant drift d per step the average lags d * decay / (1 - decay).

    An average on the CPU visits the network's device weight by weight: the way there and back takes
    less time than the CPU would.
    """
    target = target or average
    if target is average and _beside(average, network):
        _move_all(average, network, decay)
        return
    parameters = (module.parameters() for module in (average, network, target))
    for kept, current, follower in zip(*parameters, strict=True):
        if current.requires_grad:
            moved = local(kept).to(current.device, non_blocking=True)
            moved.lerp_(local(current).to(moved.dtype), 1 - decay)
            local(kept).copy_(moved)
            if follower is not kept:
                local(follower).copy_(moved)
    buffers = (module.buffers() for module in (average, network, target))
    for held, present, followed in zip(*buffers, strict=True):
        held.copy_(present)
        followed.copy_(present)


def _beside(average: nn.Module, network: nn.Module) -> bool:
    """Tell whether all weights of both are whole and on one device."""
    tensors = [*average.parameters(), *network.parameters()]
    return len({tensor.device for tensor in tensors}) == 1 and not any(
        isinstance(tensor, DTensor) for tensor in tensors
    )


def _move_all(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Do as `update_average` does with one kernel for many weights."""
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    learnt = [(kept, current) for kept, current in pairs if current.requires_grad]
    torch._foreach_lerp_(
        [kept for kept, _ in learnt],
        [current.to(kept.dtype) for kept, current in learnt],
        1 - decay,
    )
    for held, present in zip(average.buffers(), network.buffers(), strict=True):
        held.copy_(present)


def _frozen_copy(network: Network, *, share: bool = False) -> Network:
    """Return a copy in eval mode that takes no gradients.

    It may `share` the weights that do not learn: a LoRA student's average so costs little.
    """
    frozen = [parameter for parameter in network.parameters() if not parameter.requires_grad]
    shared = {id(parameter): parameter for parameter in frozen if share}
    return copy.deepcopy(network, memo=shared).eval().requires_grad_(False)


def _on_cpu(network: Network) -> Network:
    """Move `network` to memory that a GPU reads and writes at full speed."""
    pinned = next(network.parameters()).is_cuda
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data = tensor.data.cpu().pin_memory() if pinned else tensor.data.cpu()
    return network
