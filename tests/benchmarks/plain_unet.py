"""The network's maths written plainly, as the measure that `bench_unet` holds ours against.

What is slow about the published implementation is kept, and nothing else is: features travel as
`(B*F, C, h, w)` and are copied into a new layout for every block, each frame has its own copy of
the context, whose keys and values are computed again for every frame and step, and attention is a
product, a softmax and a product. The weights are those of a `DanceUNet` without a face.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from dancelcm_cli.core.attention import (
    Attention,
    FeedForward,
    SpatialTransformer,
    TemporalTransformer,
)
from dancelcm_cli.core.blocks import Downsample, ResBlock, TemporalConv
from dancelcm_cli.core.conditioning import EncodedConditions, sinusoidal_embedding
from dancelcm_cli.core.unet import DanceUNet, Stage


def plain_velocity(
    unet: DanceUNet,
    noisy_latents: Tensor,
    timesteps: Tensor,
    conditions: EncodedConditions,
    context: Tensor,
) -> Tensor:
    """Predict v of `noisy_latents` `(B, C, F, h, w)`; `context` is `(B, tokens, D)`."""
    sinusoids = sinusoidal_embedding(timesteps, unet.config.dim).to(noisy_latents.dtype)
    embedding = unet.time_out(F.silu(unet.time_in(sinusoids)))
    noisy = torch.cat([noisy_latents, conditions.frame_features], dim=1)
    clips = torch.cat([conditions.reference_features, noisy], dim=2)
    batch, _, num_frames = clips.shape[:3]
    embedding = repeat(embedding, "b d -> (b f) d", f=num_frames).contiguous()
    context = repeat(context, "b t d -> (b f) t d", f=num_frames).contiguous()

    def run(block: nn.Module, features: Tensor) -> Tensor:
        if isinstance(block, Stage):
            return _stage(block, features, embedding, context, batch)
        if isinstance(block, Downsample):
            return block.conv(features)
        return block.conv(F.interpolate(features, scale_factor=2.0, mode="nearest"))

    features = unet.conv_in(rearrange(clips, "b c f h w -> (b f) c h w").contiguous())
    features = _temporal(unet.temporal_in, features, batch)
    skips = [features]
    for block in unet.down:
        features = run(block, features)
        skips.append(features)
    features = run(unet.middle_in, features)
    features = _res_block(unet.middle_out, features, embedding, batch)
    for block in unet.up:
        if isinstance(block, Stage):
            features = torch.cat([features, skips.pop()], dim=1)
        features = run(block, features)
    features = unet.conv_out(F.silu(unet.norm_out(features)))
    return rearrange(features, "(b f) c h w -> b c f h w", b=batch)[:, :, 1:].contiguous()


def _stage(
    stage: Stage, features: Tensor, embedding: Tensor, context: Tensor, batch: int
) -> Tensor:
    features = _res_block(stage.res, features, embedding, batch)
    if stage.spatial is not None and stage.temporal is not None:
        features = _spatial(stage.spatial, features, context)
        features = _temporal(stage.temporal, features, batch)
    return features


def _res_block(block: ResBlock, features: Tensor, embedding: Tensor, batch: int) -> Tensor:
    hidden = block.conv1(F.silu(block.norm1(features)))
    hidden = hidden + block.embedding(F.silu(embedding))[:, :, None, None]
    hidden = block.conv2(F.silu(block.norm2(hidden)))
    return _temporal_conv(block.temporal, block.skip(features) + hidden, batch)


def _temporal_conv(block: TemporalConv, features: Tensor, batch: int) -> Tensor:
    clips = rearrange(features, "(b f) c h w -> b c f h w", b=batch).contiguous()
    hidden = clips
    for norm, conv in zip(block.norms, block.convs, strict=True):
        weight = conv.weight[..., None]  # (out, in, 3, 1, 1)
        hidden = F.conv3d(F.silu(norm(hidden)), weight, conv.bias, padding=(1, 0, 0))
    return rearrange(clips + hidden, "b c f h w -> (b f) c h w").contiguous()


def _spatial(block: SpatialTransformer, features: Tensor, context: Tensor) -> Tensor:
    height = features.shape[2]
    tokens = rearrange(block.norm(features), "n c h w -> n (h w) c").contiguous()
    tokens = block.proj_in(tokens)
    tokens = tokens + _attend(block.attn1, block.norm1(tokens))
    tokens = tokens + _attend(block.attn2, block.norm2(tokens), context)
    tokens = tokens + _feed_forward(block.ff, block.norm3(tokens))
    tokens = block.proj_out(tokens)
    return features + rearrange(tokens, "n (h w) c -> n c h w", h=height).contiguous()


def _temporal(block: TemporalTransformer, features: Tensor, batch: int) -> Tensor:
    height, width = features.shape[2:]
    clips = rearrange(features, "(b f) c h w -> b c f h w", b=batch).contiguous()
    tokens = rearrange(block.norm(clips), "b c f h w -> (b h w) f c").contiguous()
    tokens = block.proj_in(tokens)
    tokens = tokens + _attend(block.attn1, block.norm1(tokens))
    tokens = tokens + _attend(block.attn2, block.norm2(tokens))
    tokens = tokens + _feed_forward(block.ff, block.norm3(tokens))
    tokens = block.proj_out(tokens)
    frames = rearrange(tokens, "(b h w) f c -> (b f) c h w", h=height, w=width).contiguous()
    return features + frames


def _attend(block: Attention, tokens: Tensor, context: Tensor | None = None) -> Tensor:
    source = tokens if context is None else context
    queries, keys, values = (
        rearrange(x, "s t (n d) -> (s n) t d", n=block.heads).contiguous()
        for x in (block.to_q(tokens), block.to_k(source), block.to_v(source))
    )
    logits = queries @ keys.transpose(1, 2) * queries.shape[-1] ** -0.5
    attended = logits.softmax(dim=-1) @ values
    return block.to_out(rearrange(attended, "(s n) t d -> s t (n d)", n=block.heads).contiguous())


def _feed_forward(block: FeedForward, tokens: Tensor) -> Tensor:
    values, gates = block.proj_in(tokens).chunk(2, dim=-1)
    return block.proj_out(values * F.gelu(gates))
