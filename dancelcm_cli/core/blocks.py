"""The convolutional parts of the UNet.

Features are `(B, C, F, H, W)` tensors in channels-last memory. Spatial layers see frames one by
one, temporal convolutions see three neighbouring frames; the facts are those of `ResBlock` and
`TemporalConvBlock_v2` in ali-vilab/UniAnimate (`tools/modules/unet/util.py`).
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dancelcm_cli.core.group_norm import GroupNorm


def frames_of(features: Tensor) -> Tensor:
    """View `(B, C, F, H, W)` as single frames `(B*F, C, H, W)`."""
    return rearrange(features, "b c f h w -> (b f) c h w")


def clips_of(frames: Tensor, batch: int) -> Tensor:
    """View `(B*F, C, H, W)` as clips `(B, C, F, H, W)`."""
    return rearrange(frames, "(b f) c h w -> b c f h w", b=batch)


class TemporalConv(nn.Module):
    """Four convolutions over three frames each, on a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(GroupNorm(32, channels) for _ in range(4))
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, (3, 1), padding=(1, 0)) for _ in range(4)
        )
        nn.init.zeros_(self.convs[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.convs[-1].bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, C, F, H, W)` to the same shape."""
        out = rearrange(features, "b c f h w -> b c f (h w)")
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(F.silu(norm(out)))
        return features + out.view(features.shape)


class ResBlock(nn.Module):
    """Two spatial convolutions with the timestep added between them, then the temporal ones."""

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(32, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.embedding = nn.Linear(embedding_dim, out_channels)
        self.norm2 = GroupNorm(32, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]
        self.skip: nn.Module = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )
        self.temporal = TemporalConv(out_channels)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Map `(B, C, F, H, W)` and the timestep embedding `(B, D)` to `(B, C', F, H, W)`."""
        batch, _, num_frames = features.shape[:3]
        frames = frames_of(features)
        shift = self.embedding(F.silu(embedding)).repeat_interleave(num_frames, dim=0)
        hidden = self.conv1(F.silu(self.norm1(frames))) + shift[:, :, None, None]
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        out: Tensor = self.temporal(clips_of(self.skip(frames) + hidden, batch))
        return out


class Downsample(nn.Module):
    """Halve height and width by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, C, F, H, W)` to `(B, C, F, H/2, W/2)`."""
        return clips_of(self.conv(frames_of(features)), features.shape[0])


class Upsample(nn.Module):
    """Double height and width by repetition and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, C, F, H, W)` to `(B, C, F, 2H, 2W)`."""
        frames = F.interpolate(frames_of(features), scale_factor=2.0, mode="nearest")
        return clips_of(self.conv(frames), features.shape[0])
