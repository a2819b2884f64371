"""The training batch: clips on their way into the network, never changed on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions


@dataclass(frozen=True)
class ClipBatch:
    """Latents `(B, C, F, h, w)` of clips with their conditions.

    `numbers` are the samples' places in the order of the run: they name their random streams.
    `motion_mask` `(B, F, h, w)` is 1 where something moves.
    """

    latents: Tensor
    conditions: Conditions
    numbers: tuple[int, ...] = ()
    motion_mask: Tensor | None = None

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch on `device`."""
        mask = None if self.motion_mask is None else self.motion_mask.to(device)
        conditions = self.conditions.to(device)
        return ClipBatch(self.latents.to(device), conditions, self.numbers, mask)
