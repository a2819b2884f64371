"""The training batch: clips on their way into the network, never changed on the way."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions


@dataclass(frozen=True)
class ClipBatch:
    """Latents `(B, C, F, h, w)` of clips with their conditions."""

    latents: Tensor
    conditions: Conditions

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch on `device`."""
        moved = {
            field.name: value.to(device)
            for field in fields(self.conditions)
            if (value := getattr(self.conditions, field.name)) is not None
        }
        return ClipBatch(self.latents.to(device), replace(self.conditions, **moved))
