"""A network as training calls it: one call from conditions to v.

Training wraps networks (to shard them, to average gradients, to switch adapters off), and a wrapper
sees only `forward`. So encoding the conditions, which inference does once per clip, is part of the
call here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import ComputeConfig, Precision
from dancelcm_cli.core.auxiliary_head import AuxiliaryHead
from dancelcm_cli.core.blocks import clips_of
from dancelcm_cli.core.compilation import compile_regions
from dancelcm_cli.core.conditioning import Conditions, PatchTokens
from dancelcm_cli.core.lora import adapters_off
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.training.precision import computing_in


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
    """The network that learns, with its ground-truth head: a `Trainee`.

    Every process must use the same weights in every step. So the stem for a given first frame,
    which no training batch has, is frozen, and a batch without a face still passes the projector.
    """

    def __init__(
        self,
        unet: DanceUNet,
        auxiliary_head: AuxiliaryHead | None = None,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.unet = unet
        self.auxiliary_head = auxiliary_head
        self.precision: Precision = precision
        if unet.first_frame_stem is not None:
            unet.first_frame_stem.requires_grad_(False)

    def forward(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return v and, with a ground-truth head, that head's v, both `(B, C, F, h, w)`."""
        if torch.is_grad_enabled():
            conditions = self._with_blank_face(conditions)
        with computing_in(self.precision, noisy_latents.device):
            encoded = self.unet.encode_conditions(conditions, keep)
            features = self.unet.features(noisy_latents, timesteps, encoded)
            velocity = clips_of(self.unet.output(features), len(noisy_latents))
            if self.auxiliary_head is None:
                return velocity, None
            return velocity, clips_of(self.auxiliary_head(features), len(noisy_latents))

    @torch.no_grad()
    def velocity(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Return v `(B, C, F, h, w)` alone, without gradients: a `Velocity`."""
        velocity: Tensor = self(noisy_latents, timesteps, conditions, keep)[0]
        return velocity

    def _with_blank_face(self, conditions: Conditions) -> Conditions:
        """Return `conditions` with a face that is not shown, where they have none but might."""
        projector, latents = self.unet.face_projector, conditions.reference_latents
        unseen = latents.new_zeros(len(latents))
        if projector is None:
            return conditions
        if isinstance(projector, PatchTokens):
            if conditions.face_latents is not None:
                return conditions
            blank = latents.new_zeros(*latents.shape[:2], *[projector.patch_size] * 2)
            return replace(conditions, face_latents=blank, has_face=unseen)
        if conditions.face_embeds is not None:
            return conditions
        blank = latents.new_zeros(len(latents), projector.proj_in.in_features)
        return replace(conditions, face_embeds=blank, has_face=unseen)


def compiled(network: TrainedNetwork, compute: ComputeConfig) -> TrainedNetwork:
    """Return `network`, compiled where the recipe says so; its copies are not."""
    if compute.compile:
        compile_regions(network.unet)
    return network


def velocity_of(unet: DanceUNet, compute: ComputeConfig | None = None) -> Velocity:
    """Return `unet` as a `Velocity` without gradients, computed as the recipe says."""
    compute = compute or ComputeConfig()
    return compiled(TrainedNetwork(unet, precision=compute.precision), compute).velocity


def without_adapters(unet: DanceUNet, compute: ComputeConfig | None = None) -> Velocity:
    """Return what a LoRA student was before it learnt: its teacher, which is shown no face."""
    velocity = velocity_of(unet, compute)

    def teacher(
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> Tensor:
        faceless = replace(conditions, face_latents=None, face_embeds=None)
        with adapters_off(unet):
            return velocity(noisy_latents, timesteps, faceless, keep)

    return teacher
