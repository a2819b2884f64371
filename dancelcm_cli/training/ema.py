"""The exponential moving average of a network."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` towards `network` by `1 - decay`, in the average's own (float32) precision.

    Buffers are copied. After a constant drift d per step the average lags d * decay / (1 - decay).
    """
    averaged, trained = list(average.parameters()), list(network.parameters())
    torch._foreach_lerp_(
        averaged, [p.to(a.dtype) for a, p in zip(averaged, trained, strict=True)], 1 - decay
    )
    for kept, current in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(current)
