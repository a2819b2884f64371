"""The training batch: clips on their way into the network, never changed on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions


@dataclass(frozen=True)
class ClipBatch:
    """Latents `(B, C, F, h, w)` of clips with their conditions.

    `numbers` are the samples' places in the order of the run: they name their random streams.
    `motion_mask` `(B, F, h, w)` is 1 where something moves. Pose pictures travel as uint8.
    """

    latents: Tensor
    conditions: Conditions
    numbers: tuple[int, ...] = ()
    motion_mask: Tensor | None = None

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch on `device`, with its pose pictures as floats."""
        mask = None if self.motion_mask is None else self.motion_mask.to(device)
        conditions = self.conditions.to(device)
        conditions = replace(
            conditions,
            pose=_as_floats(conditions.pose),
            reference_pose=_as_floats(conditions.reference_pose),
        )
        return ClipBatch(self.latents.to(device), conditions, self.numbers, mask)


def _as_floats(pictures: Tensor) -> Tensor:
    """Return pictures of 0 to 255 in [0, 1]; floats already are."""
    return pictures.float() / 255.0 if pictures.dtype == torch.uint8 else pictures
