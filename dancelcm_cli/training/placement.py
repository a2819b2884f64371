"""Where weights are while many processes train: whole in each, or in shards over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from dancelcm_cli.config.schema import ComputeConfig, Precision
from dancelcm_cli.core.processes import Processes
from dancelcm_cli.core.unet import Stage


def placed(network: nn.Module, compute: ComputeConfig, processes: Processes) -> nn.Module:
    """Return `network` as a step has to call it, so that all processes learn the same.

    The processes must agree on its weights, and use the same of them in every step.
    """
    if sharded(compute, processes):
        shard(network, compute.precision, processes)
        return network
    if processes.count == 1:
        return network
    return DistributedDataParallel(network, gradient_as_bucket_view=True)


def sharded(compute: ComputeConfig, processes: Processes) -> bool:
    """Tell whether weights are in shards; one process alone has all of them."""
    return compute.sharding == "fsdp" and processes.count > 1


def shard(network: nn.Module, precision: Precision, processes: Processes) -> None:
    """Leave each process its share of every weight; a stage's are gathered while it computes.

    The projections of the context are no part of their stages here: all of them are called before
    the first stage is.
    """
    device = next(network.parameters()).device
    mesh = init_device_mesh(device.type, (processes.count,))
    weights = torch.bfloat16 if precision == "bfloat16" else None
    policy = MixedPrecisionPolicy(weights, torch.float32, cast_forward_inputs=False)
    stages = [module for module in network.modules() if isinstance(module, Stage)]
    attentions = [stage.spatial.attn2 for stage in stages if stage.spatial is not None]
    projections: list[nn.Module] = [x for attn in attentions for x in (attn.to_k, attn.to_v)]
    if projections:
        fully_shard(projections, mesh=mesh, mp_policy=policy)
    for module in [*stages, network]:
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)


def synchronising(network: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Return the context of one part of a step: copies exchange gradients in the `last` alone.

    Shards do in each part, because whole gradients would not fit where whole weights do not.
    """
    if isinstance(network, DistributedDataParallel) and not last:
        return network.no_sync()
    return nullcontext()


def local(tensor: Tensor) -> Tensor:
    """Return what this process holds of `tensor`."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all of `tensor`; of a sharded one all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load a checkpoint's weights into a whole `network`; those that do not learn stay."""
    network.load_state_dict({**network.state_dict(), **tensors})


def whole_copies(tensors: Mapping[str, Tensor], processes: Processes) -> dict[str, Tensor]:
    """Return copies of whole `tensors` in the first process's memory; nothing in the others."""
    copies = {}
    for name, tensor in tensors.items():
        complete = whole(tensor.detach())
        if processes.first:
            copies[name] = complete.to("cpu", copy=True)
    return copies


def placed_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a whole `tensor` in shards where `parameter`, of the same shape, is."""
    if not isinstance(parameter, DTensor) or tensor.shape != parameter.shape:
        return tensor
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(tensor.to(parameter.device), mesh, placements)
