"""A network as training calls it: one call from conditions to v.

Training wraps networks (to shard them, to average gradients, to switch adapters off), and a wrapper
sees only `forward`. So encoding the conditions, which inference does once per clip, is part of the
call here.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from dancelcm_cli.core.auxiliary_head import AuxiliaryHead
from dancelcm_cli.core.blocks import clips_of
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.unet import DanceUNet


class Velocity(Protocol):
    """A network that is asked, not trained."""

    def __call__(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Return v `(B, C, F, h, w)` at `timesteps` `(B,)`; `keep` 0 drops a clip's conditions."""
        ...


class Trainee(Protocol):
    """A network that learns."""

    def __call__(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return v as `Velocity` does, and the ground-truth head's v where there is that head."""
        ...


class TrainedNetwork(nn.Module):
    """The network that learns, with its ground-truth head: a `Trainee`."""

    def __init__(self, unet: DanceUNet, auxiliary_head: AuxiliaryHead | None = None) -> None:
        super().__init__()
        self.unet = unet
        self.auxiliary_head = auxiliary_head

    def forward(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return v and, with a ground-truth head, that head's v, both `(B, C, F, h, w)`."""
        encoded = self.unet.encode_conditions(conditions, keep)
        features = self.unet.features(noisy_latents, timesteps, encoded)
        velocity = clips_of(self.unet.output(features), len(noisy_latents))
        if self.auxiliary_head is None:
            return velocity, None
        return velocity, clips_of(self.auxiliary_head(features), len(noisy_latents))


def velocity_of(unet: DanceUNet) -> Velocity:
    """Return `unet` as a `Velocity` without gradients."""

    @torch.no_grad()
    def velocity(
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> Tensor:
        return unet(noisy_latents, timesteps, unet.encode_conditions(conditions, keep))

    return velocity
