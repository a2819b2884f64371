"""Attention over space, over time and to the conditions, without copies of the token layout.

Features are `(B, C, F, H, W)` tensors in channels-last memory, so that their tokens `(B, F, H*W,
C)` are a view. The structure is that of the video transformers in ali-vilab/VGen and
ali-vilab/UniAnimate (`tools/modules/unet/util.py`): self-attention, attention to the context (or
again to itself), GEGLU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dancelcm_cli.core.group_norm import GroupNorm
from dancelcm_cli.core.pieces import in_pieces

# How many sequences an attention kernel takes: it lays them along the second axis of a CUDA grid.
MOST_SEQUENCES = 2**16 - 1


@dataclass(frozen=True)
class ContextKeysValues:
    """One layer's projection of the context, constant over frames and steps.

    `keys` and `values` are `(B, heads, tokens, head_dim)`; `bias` `(B, 1, 1, tokens)` is added to
    the attention logits, or None where every token counts the same.
    """

    keys: Tensor
    values: Tensor
    bias: Tensor | None


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return `(N, heads, T, head_dim)` attention of as many sequences of T tokens as there are."""
    if len(queries) <= MOST_SEQUENCES:
        return F.scaled_dot_product_attention(queries, keys, values)
    pieces = (torch.split(tensor, MOST_SEQUENCES) for tensor in (queries, keys, values))
    attended = [F.scaled_dot_product_attention(*piece) for piece in zip(*pieces, strict=True)]
    return torch.cat(attended)


class Attention(nn.Module):
    """Multi-head attention whose keys and values may come from elsewhere."""

    def __init__(self, dim: int, context_dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        inner_dim = heads * head_dim
        self.to_q = nn.Linear(dim, inner_dim, bias=False)
        self.to_k = nn.Linear(context_dim, inner_dim, bias=False)
        self.to_v = nn.Linear(context_dim, inner_dim, bias=False)
        self.to_out = nn.Linear(inner_dim, dim)

    def _split(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "... t (n d) -> ... n t d", n=self.heads)

    def _merge(self, heads: Tensor) -> Tensor:
        out: Tensor = self.to_out(rearrange(heads, "... n t d -> ... t (n d)"))
        return out

    def project_context(self, context: Tensor, bias: Tensor | None) -> ContextKeysValues:
        """Compute keys and values of `context` `(B, tokens, context_dim)` once for many calls."""
        return ContextKeysValues(
            self._split(self.to_k(context)), self._split(self.to_v(context)), bias
        )

    def to_self(self, tokens: Tensor) -> Tensor:
        """Attend within the last-but-one axis of `tokens` `(..., T, C)`."""
        queries, keys, values = (
            self._split(project(tokens)).flatten(0, -4)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        return self._merge(attend(queries, keys, values)).view(tokens.shape)

    def to_context(self, tokens: Tensor, context: ContextKeysValues) -> Tensor:
        """Attend from `tokens` `(B, F, T, C)` to a context shared by all frames."""
        queries = self._split(self.to_q(tokens.flatten(1, 2)))
        attended = F.scaled_dot_product_attention(
            queries, context.keys, context.values, attn_mask=context.bias
        )
        return self._merge(attended).view(tokens.shape)


class FeedForward(nn.Module):
    """Two linear layers around a gated GELU, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(dim, 8 * dim)
        self.proj_out = nn.Linear(4 * dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(..., C)` to `(..., C)`."""
        made = in_pieces(self._whole, tokens.flatten(0, -2), self.proj_in.out_features)
        return made.view(tokens.shape)

    def _whole(self, tokens: Tensor) -> Tensor:
        values, gates = self.proj_in(tokens).chunk(2, dim=-1)
        out: Tensor = self.proj_out(values * F.gelu(gates))
        return out


class TransformerBlock(nn.Module):
    """Self-attention, second attention and feed-forward, each on a normalised residual."""

    def __init__(self, dim: int, context_dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = Attention(dim, dim, heads, head_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.attn2 = Attention(dim, context_dim, heads, head_dim)
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim)


class SpatialTransformer(TransformerBlock):
    """Within each frame, then to the context `(B, tokens, context_dim)`."""

    def __init__(self, channels: int, context_dim: int, heads: int, head_dim: int) -> None:
        super().__init__(heads * head_dim, context_dim, heads, head_dim)
        self.norm = GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, heads * head_dim)
        self.proj_out = nn.Linear(heads * head_dim, channels)

    def forward(self, features: Tensor, context: ContextKeysValues) -> Tensor:
        """Map `(B, C, F, H, W)` to the same shape."""
        tokens = self.proj_in(_tokens(_per_frame(self.norm, features)))
        tokens = tokens + self.attn1.to_self(self.norm1(tokens))
        tokens = tokens + self.attn2.to_context(self.norm2(tokens), context)
        tokens = tokens + self.ff(self.norm3(tokens))
        return features + _features(self.proj_out(tokens), features)


class TemporalTransformer(TransformerBlock):
    """Along time at each pixel, twice."""

    def __init__(self, channels: int, heads: int, head_dim: int) -> None:
        super().__init__(heads * head_dim, heads * head_dim, heads, head_dim)
        self.norm = GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, heads * head_dim)
        self.proj_out = nn.Linear(heads * head_dim, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, C, F, H, W)` to the same shape."""
        tokens = self.proj_in(_tokens(self.norm(features)))
        tokens = tokens + _over_time(self.attn1, self.norm1(tokens))
        tokens = tokens + _over_time(self.attn2, self.norm2(tokens))
        tokens = tokens + self.ff(self.norm3(tokens))
        return features + _features(self.proj_out(tokens), features)


def _tokens(features: Tensor) -> Tensor:
    return rearrange(features, "b c f h w -> b f (h w) c")


def _features(tokens: Tensor, like: Tensor) -> Tensor:
    return rearrange(tokens, "b f (h w) c -> b c f h w", h=like.shape[3])


def _per_frame(norm: nn.GroupNorm, features: Tensor) -> Tensor:
    frames = norm(rearrange(features, "b c f h w -> (b f) c h w"))
    out: Tensor = rearrange(frames, "(b f) c h w -> b c f h w", b=features.shape[0])
    return out


def _over_time(attention: Attention, tokens: Tensor) -> Tensor:
    out = attention.to_self(rearrange(tokens, "b f t c -> b t f c").contiguous())
    return rearrange(out, "b t f c -> b f t c")
