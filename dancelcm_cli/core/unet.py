"""The video UNet: UniAnimate's network, with room for patch tokens and face tokens."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dancelcm_cli.config.schema import FaceTokens, NetworkConfig
from dancelcm_cli.core.attention import (
    ContextKeysValues,
    SpatialTransformer,
    TemporalTransformer,
)
from dancelcm_cli.core.blocks import Downsample, ResBlock, Upsample, clips_of, frames_of
from dancelcm_cli.core.conditioning import (
    Conditions,
    EncodedConditions,
    ImageTokens,
    LatentStem,
    PatchTokens,
    PictureStem,
    sinusoidal_embedding,
)
from dancelcm_cli.core.group_norm import GroupNorm
from dancelcm_cli.errors import InputError

FACE_GATE_START = -8.0  # logit bias at which face tokens change nothing yet: exp(-8) is 3e-4
FACE_PREFIX = "face_"  # of the names of all weights that face tokens add
STEM_CHANNELS = 8  # pose channels beside the noisy latents (`concat_dim` upstream)


class Stage(nn.Module):
    """A residual block and, where the level attends, a transformer over space and one over time."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embedding_dim: int,
        context_dim: int,
        head_dim: int,
        attends: bool,
    ) -> None:
        super().__init__()
        heads = out_channels // head_dim
        self.res = ResBlock(in_channels, out_channels, embedding_dim)
        self.spatial: SpatialTransformer | None = None
        self.temporal: TemporalTransformer | None = None
        if attends:
            self.spatial = SpatialTransformer(out_channels, context_dim, heads, head_dim)
            self.temporal = TemporalTransformer(out_channels, heads, head_dim)

    def forward(
        self, features: Tensor, embedding: Tensor, context: ContextKeysValues | None
    ) -> Tensor:
        """Map `(B, C, F, h, w)` under the timestep's embedding `(B, D)`."""
        features = self.res(features, embedding)
        if self.spatial is not None and self.temporal is not None and context is not None:
            features = self.temporal(self.spatial(features, context))
        return features


class DanceUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Predicts the velocity v of noisy video latents under pose, reference and face conditions.

    The reference photo is one more frame in front of the noisy ones; its output is dropped. Two
    calls make a step: `encode_conditions` once per clip, then `forward` once per timestep.
    """

    config_name = "config.json"
    _supports_gradient_checkpointing = True

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 4,
        dim: int = 320,
        channel_multipliers: tuple[int, ...] = (1, 2, 4, 4),
        attention_levels: tuple[bool, ...] = (True, True, True, False),
        blocks_per_level: int = 2,
        head_dim: int = 64,
        stem_heads: int = 8,
        context_dim: int = 1024,
        text_tokens: int = 77,
        image_tokens: str = "clip",
        image_embed_dim: int = 1024,
        face_tokens: FaceTokens = "none",
        first_frame: bool = True,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False  # see `enable_gradient_checkpointing` of diffusers
        channels = [dim * multiplier for multiplier in channel_multipliers]
        embedding_dim = 4 * dim
        hidden = 4 * STEM_CHANNELS
        reference_channels = latent_channels + STEM_CHANNELS

        self.time_in = nn.Linear(dim, embedding_dim)
        self.time_out = nn.Linear(embedding_dim, embedding_dim)
        self.pose_stem = PictureStem(STEM_CHANNELS, hidden)
        # Published weights hold one for a given first frame, which no command gives: it is kept.
        self.first_frame_stem = PictureStem(STEM_CHANNELS, hidden) if first_frame else None
        self.reference_pose_stem = PictureStem(reference_channels, hidden)
        self.reference_stem = LatentStem(latent_channels, reference_channels, hidden)
        self.register_buffer("text_embedding", torch.zeros(text_tokens, context_dim))
        self.image_projector = (
            ImageTokens(image_embed_dim, context_dim) if image_tokens == "clip" else None
        )
        self.reference_projector = (
            PatchTokens(latent_channels + reference_channels, context_dim, patch_size=2)
            if image_tokens == "reference"
            else None
        )
        self.face_projector: PatchTokens | ImageTokens | None = None
        self.add_face_tokens(face_tokens)

        def stage(in_channels: int, out_channels: int, attends: bool) -> Stage:
            return Stage(in_channels, out_channels, embedding_dim, context_dim, head_dim, attends)

        self.conv_in = nn.Conv2d(reference_channels, dim, 3, padding=1)
        self.temporal_in = TemporalTransformer(dim, stem_heads, head_dim)
        self.down = nn.ModuleList()
        current, skips = dim, [dim]
        for level, (width, attends) in enumerate(zip(channels, attention_levels, strict=True)):
            for _ in range(blocks_per_level):
                self.down.append(stage(current, width, attends))
                current = width
                skips.append(width)
            if level < len(channels) - 1:
                self.down.append(Downsample(width))
                skips.append(width)
        self.middle_in = stage(current, current, attends=True)
        self.middle_out = ResBlock(current, current, embedding_dim)
        self.up = nn.ModuleList()
        for level in reversed(range(len(channels))):
            for _ in range(blocks_per_level + 1):
                width = channels[level]
                self.up.append(stage(current + skips.pop(), width, attention_levels[level]))
                current = width
            if level > 0:
                self.up.append(Upsample(current))
        self.norm_out = GroupNorm(32, current)
        self.conv_out = nn.Conv2d(current, latent_channels, 3, padding=1)

    @classmethod
    def from_network(
        cls, network: NetworkConfig, latent_channels: int, face_tokens: FaceTokens = "none"
    ) -> DanceUNet:
        """Build an untrained network of the recipe's sizes."""
        return cls(
            latent_channels=latent_channels,
            dim=network.dim,
            channel_multipliers=network.channel_multipliers,
            attention_levels=network.attention_levels,
            blocks_per_level=network.blocks_per_level,
            head_dim=network.head_dim,
            stem_heads=network.stem_heads,
            context_dim=network.context_dim,
            text_tokens=network.text_tokens,
            image_tokens=network.image_tokens,
            image_embed_dim=network.image_embed_dim,
            face_tokens=face_tokens,
            first_frame=network.first_frame,
        )

    def add_face_tokens(self, kind: FaceTokens) -> None:
        """Add face tokens whose gate is almost shut, so that the output stays as it was.

        `vae` makes them of the face's latents (the paper's choice), `clip` of its image embedding
        (the paper's comparison in figure 5).
        """
        config: Any = self.config
        if kind == "none":
            return
        if kind == "vae":
            self.face_projector = PatchTokens(config.latent_channels, config.context_dim, 4)
        else:
            self.face_projector = ImageTokens(config.image_embed_dim, config.context_dim)
        self.face_gate = nn.Parameter(torch.tensor([FACE_GATE_START]))
        self.register_to_config(face_tokens=kind)

    def stages(self) -> list[Stage]:
        """Return the stages with attention in the order in which `forward` meets them."""
        blocks = [*self.down, self.middle_in, *self.up]
        return [b for b in blocks if isinstance(b, Stage) and b.spatial is not None]

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def encode_conditions(
        self, conditions: Conditions, keep: Tensor | None = None
    ) -> EncodedConditions:
        """Encode what does not change over the steps.

        `keep` `(B,)` holds 1 where a sample has its conditions and 0 where it has the null
        condition of classifier-free guidance: no pose, no reference, no image, no face.
        """
        reference_latents = conditions.reference_latents
        height, width = reference_latents.shape[2:]
        frame_features = self.encode_frames(conditions, keep)
        reference_pose = self.reference_pose_stem(
            conditions.reference_pose[:, :, None], height, width
        )
        reference_features = self.reference_stem(reference_latents) + reference_pose
        tokens = self._image_tokens(conditions, reference_pose)
        if keep is not None:
            reference_features = reference_features * keep.view(-1, 1, 1, 1, 1)
            tokens = tokens * keep.view(-1, 1, 1)
        text = self.text_embedding.expand(len(tokens), -1, -1).to(tokens.dtype)
        context = torch.cat([text, tokens], dim=1)
        context, bias = self._with_face_tokens(context, conditions, keep)
        projected = tuple(
            stage.spatial.attn2.project_context(context, bias)
            for stage in self.stages()
            if stage.spatial is not None
        )
        return EncodedConditions(frame_features, reference_features, projected)

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def encode_frames(self, conditions: Conditions, keep: Tensor | None = None) -> Tensor:
        """Return the `frame_features` of `EncodedConditions`: all that depends on the pose."""
        height, width = conditions.reference_latents.shape[2:]
        features = self.pose_stem(conditions.pose, height, width)
        return features if keep is None else features * keep.view(-1, 1, 1, 1, 1)

    def _image_tokens(self, conditions: Conditions, reference_pose: Tensor) -> Tensor:
        latents = conditions.reference_latents
        if self.reference_projector is not None:
            picture = torch.cat([latents, reference_pose[:, :, 0]], dim=1)
            return self.reference_projector(picture)
        if self.image_projector is None:
            config: Any = self.config
            return latents.new_zeros(len(latents), 0, config.context_dim)
        if conditions.image_embeds is None:
            raise InputError(
                "Clips must have image_embeds for this network, which reads CLIP's image features,"
                " got none.",
                hint="Run `dancelcm preprocess` again with --model set to a model folder that has"
                " an image_encoder, as `dancelcm models convert` makes it.",
            )
        return self.image_projector(conditions.image_embeds)

    def _with_face_tokens(
        self, context: Tensor, conditions: Conditions, keep: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        by_patch = isinstance(self.face_projector, PatchTokens)
        face = conditions.face_latents if by_patch else conditions.face_embeds
        if self.face_projector is None or face is None:
            return context, None
        if isinstance(self.face_projector, PatchTokens):
            _require_patch(face, self.face_projector.patch_size)
        tokens = self.face_projector(face)
        shown = torch.ones_like(tokens[:, 0, 0])
        for mask in (conditions.has_face, keep):
            shown = shown if mask is None else shown * mask
        gate = torch.where(shown.bool(), self.face_gate.to(tokens.dtype), float("-inf"))
        bias = torch.cat(
            [context.new_zeros(context.shape[:2]), gate[:, None].expand(tokens.shape[:2])], dim=1
        )
        return torch.cat([context, tokens], dim=1), bias[:, None, None]

    def forward(
        self, noisy_latents: Tensor, timesteps: Tensor, conditions: EncodedConditions
    ) -> Tensor:
        """Predict v of `noisy_latents` `(B, C, F, h, w)` at int64 `timesteps` `(B,)`."""
        velocity = self.output(self.features(noisy_latents, timesteps, conditions))
        return clips_of(velocity, len(noisy_latents))

    def output(self, features: Tensor) -> Tensor:
        """Turn the last features `(B*F, dim, h, w)` into v `(B*F, C, h, w)`."""
        return self.conv_out(nn.functional.silu(self.norm_out(features)))

    def features(
        self, noisy_latents: Tensor, timesteps: Tensor, conditions: EncodedConditions
    ) -> Tensor:
        """Return the last features `(B*F, dim, h, w)`, without those of the reference frame."""
        embedding = self._embed(timesteps).to(noisy_latents.dtype)
        frames = torch.cat([noisy_latents, conditions.frame_features], dim=1)
        features = torch.cat([conditions.reference_features, frames], dim=2)
        features = features.contiguous(memory_format=torch.channels_last_3d)
        context = iter(conditions.context)

        def run(block: nn.Module, features: Tensor) -> Tensor:
            if not isinstance(block, Stage):
                return block(features)
            keys_values = None if block.spatial is None else next(context)
            if self.gradient_checkpointing and torch.is_grad_enabled():
                return checkpoint(block, features, embedding, keys_values, use_reentrant=False)
            return block(features, embedding, keys_values)

        features = self.temporal_in(clips_of(self.conv_in(frames_of(features)), len(features)))
        skips = [features]
        for block in self.down:
            features = run(block, features)
            skips.append(features)
        features = self.middle_out(run(self.middle_in, features), embedding)
        for block in self.up:
            if isinstance(block, Stage):
                features = torch.cat([features, skips.pop()], dim=1)
            features = run(block, features)
        return frames_of(features[:, :, 1:])

    def _embed(self, timesteps: Tensor) -> Tensor:
        config: Any = self.config
        sinusoids = sinusoidal_embedding(timesteps, config.dim).to(self.time_in.weight.dtype)
        return self.time_out(nn.functional.silu(self.time_in(sinusoids)))


def _require_patch(face: Tensor, side: int) -> None:
    """Refuse face latents `(B, C, h, w)` of which no patch of `side` can be made."""
    if min(face.shape[-2:]) < side:
        raise InputError(
            f"A face must have at least {side} x {side} latents, got"
            f" {face.shape[-2]} x {face.shape[-1]}.",
            hint="Make the shards, or the animation, with --set preprocess.face_size=128",
        )
