"""The exponential moving average of a network."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` towards `network` by `1 - decay`, in the average's own (float32) precision.

    Buffers are copied. After a constant drift d per step the average lags d * decay / (1 - decay).
    """
    for kept, current in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(current.to(kept.dtype), 1 - decay)
    for held, present in zip(average.buffers(), network.buffers(), strict=True):
        held.copy_(present)
