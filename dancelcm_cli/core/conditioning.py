"""What the network is told besides the noisy latents, and the small stems that read it.

UniAnimate's conditions (`unet_unianimate.py` in ali-vilab/UniAnimate): the driving pose joins the
noisy latents as channels, the reference photo with its own pose joins them as one more frame in
front, and image tokens join the context of the cross-attention. DanceLCM adds face tokens to that
context. None of them depends on the timestep, so they are encoded once per clip and reused in every
step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dancelcm_cli.core.attention import ContextKeysValues, attend
from dancelcm_cli.core.pieces import in_pieces
from dancelcm_cli.core.vae import Frames, to_pictures


@dataclass(frozen=True)
class Conditions:
    """The conditions of a batch of clips, as they come from data.

    Shapes: `pose` `(B, 3, F, H, W)` and `reference_pose` `(B, 3, H, W)` pose pictures in [0, 1];
    `reference_latents` `(B, C, h, w)` scaled latents; `image_embeds` `(B, D)` image features;
    `face_latents` `(B, C, h', w')` scaled latents and `face_embeds` `(B, D)` image features of the
    face crop; `has_face` `(B,)` 1 where there is a face.
    """

    pose: Tensor
    reference_pose: Tensor
    reference_latents: Tensor
    image_embeds: Tensor | None = None
    face_latents: Tensor | None = None
    face_embeds: Tensor | None = None
    has_face: Tensor | None = None

    def to(self, target: torch.device | torch.dtype) -> Conditions:
        """Return the conditions on a device or in a precision."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{n: t.to(target) for n, t in given.items() if t is not None})

    @property
    def num_frames(self) -> int:
        """F, the length of the clips."""
        return self.pose.shape[2]

    def within(self, frames: range) -> Conditions:
        """Return the conditions of some of the frames."""
        return replace(self, pose=self.pose[:, :, frames.start : frames.stop])


@dataclass(frozen=True)
class Appearance:
    """The conditions of one photo, whatever the dance; shapes as in `Conditions`."""

    reference_latents: Tensor
    image_embeds: Tensor | None
    face_latents: Tensor | None
    face_embeds: Tensor | None

    def posed(self, pose: Frames, reference_pose: Frames) -> Conditions:
        """Add the pose pictures `(F, H, W, 3)` of a clip and `(H, W, 3)` of the photo, uint8."""
        return Conditions(
            to_pictures(pose)[None], to_pictures(reference_pose[None])[None, :, 0], **vars(self)
        )


class ClipConditions(Protocol):
    """The conditions of clips that may be too long for all of their poses to be there at once."""

    @property
    def reference_latents(self) -> Tensor:
        """`(B, C, h, w)` scaled latents."""
        ...

    @property
    def num_frames(self) -> int:
        """F, the length of the clips."""
        ...

    def within(self, frames: range) -> Conditions:
        """Return the conditions of some of the frames."""
        ...


class PosePictures(Protocol):
    """Pose pictures `(F, H, W, 3)` uint8 RGB: an array, or what draws a slice when it is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, frames: slice, /) -> Frames: ...


@dataclass(frozen=True)
class StreamedConditions:
    """Conditions `still` of one clip, all but its pose, and the pose pictures of its frames."""

    still: Conditions
    poses: PosePictures

    @property
    def reference_latents(self) -> Tensor:
        """`(1, C, h, w)` scaled latents."""
        return self.still.reference_latents

    @property
    def num_frames(self) -> int:
        """F, the length of the clip."""
        return len(self.poses)

    def within(self, frames: range) -> Conditions:
        """Return the conditions of some of the frames, whose poses are drawn now."""
        pose = to_pictures(self.poses[frames.start : frames.stop])
        return replace(self.still, pose=pose[None])


@dataclass(frozen=True)
class EncodedConditions:
    """What the network makes of `Conditions`: everything that is constant over the steps.

    `frame_features` `(B, C', F, h, w)` go beside the noisy latents, `reference_features`
    `(B, C+C', 1, h, w)` in front of them, `context` to the cross-attention layers in network order.
    """

    frame_features: Tensor
    reference_features: Tensor
    context: tuple[ContextKeysValues, ...]

    def repeated(self, count: int) -> EncodedConditions:
        """Return the conditions of the same clips `count` times, one after the other."""
        if count == 1:
            return self
        return EncodedConditions(
            _repeated(self.frame_features, count),
            _repeated(self.reference_features, count),
            tuple(
                ContextKeysValues(
                    _repeated(layer.keys, count),
                    _repeated(layer.values, count),
                    None if layer.bias is None else _repeated(layer.bias, count),
                )
                for layer in self.context
            ),
        )


def _repeated(tensor: Tensor, count: int) -> Tensor:
    return tensor.repeat(count, *[1] * (tensor.ndim - 1))


class FrameMixer(nn.Module):
    """A tiny transformer along time at each pixel (`Transformer_v2` upstream)."""

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * heads * channels, bias=False)
        self.to_out = nn.Linear(heads * channels, channels)
        self.ff_in = nn.Linear(channels, 4 * channels)
        self.ff_out = nn.Linear(4 * channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, C, F, h, w)` to the same shape."""
        batch, _, _, height, width = features.shape
        tokens = rearrange(features, "b c f h w -> (b h w) f c")
        qkv = rearrange(
            self.to_qkv(self.norm(tokens)), "s f (k n d) -> k s n f d", k=3, n=self.heads
        )
        attended = attend(qkv[0], qkv[1], qkv[2])
        tokens = tokens + self.to_out(rearrange(attended, "s n f d -> s f (n d)"))
        tokens = tokens + self.ff_out(F.gelu(self.ff_in(tokens)))
        out: Tensor = rearrange(tokens, "(b h w) f c -> b c f h w", b=batch, h=height, w=width)
        return out


class PictureStem(nn.Module):
    """Pictures `(B, 3, F, H, W)` in [0, 1] to features `(B, C, F, h, w)` on the latent grid."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(hidden, channels, 3, stride=2, padding=1)
        self.mixer = FrameMixer(channels)

    def forward(self, pictures: Tensor, height: int, width: int) -> Tensor:
        """Encode `pictures`; `height` and `width` are those of the latent grid."""

        def encode(frames: Tensor) -> Tensor:
            frames = F.adaptive_avg_pool2d(F.silu(self.conv1(frames)), (4 * height, 4 * width))
            encoded: Tensor = self.conv3(F.silu(self.conv2(frames)))
            return encoded

        frames = rearrange(pictures, "b c f h w -> (b f) c h w")
        inside = self.conv1.out_channels * pictures.shape[-2] * pictures.shape[-1]
        frames = in_pieces(encode, frames, inside)
        return self.mixer(rearrange(frames, "(b f) c h w -> b c f h w", b=len(pictures)))


class LatentStem(nn.Module):
    """Reference latents `(B, C, h, w)` to features `(B, channels, 1, h, w)`."""

    def __init__(self, latent_channels: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(latent_channels, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mixer = FrameMixer(channels)

    def forward(self, latents: Tensor) -> Tensor:
        """Encode `latents`."""
        features = self.conv3(F.silu(self.conv2(F.silu(self.conv1(latents)))))
        return self.mixer(features[:, :, None])


class ImageTokens(nn.Module):
    """Four context tokens from one image embedding `(B, D)`."""

    num_tokens = 4

    def __init__(self, embed_dim: int, context_dim: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(embed_dim, context_dim)
        self.proj_out = nn.Linear(context_dim, self.num_tokens * context_dim)

    def forward(self, image_embeds: Tensor) -> Tensor:
        """Return `(B, 4, context_dim)`."""
        tokens = self.proj_out(F.silu(self.proj_in(image_embeds)))
        return rearrange(tokens, "b (n d) -> b n d", n=self.num_tokens)


class PatchTokens(nn.Module):
    """Context tokens from patches of a latent picture, each knowing its place by a 2-D sinusoid."""

    def __init__(self, in_channels: int, context_dim: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj_in = nn.Conv2d(in_channels, context_dim, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(context_dim)
        self.ff_in = nn.Linear(context_dim, 2 * context_dim)
        self.ff_out = nn.Linear(2 * context_dim, context_dim)

    def forward(self, picture: Tensor) -> Tensor:
        """Map `(B, C, h, w)` to `(B, h*w/patch_size^2, context_dim)`."""
        patches = self.proj_in(picture)
        tokens = rearrange(patches, "b c h w -> b (h w) c")
        tokens = tokens + grid_embedding(patches.shape[2], patches.shape[3], tokens)
        out: Tensor = tokens + self.ff_out(F.gelu(self.ff_in(self.norm(tokens))))
        return out


def sinusoidal_embedding(positions: Tensor, dim: int) -> Tensor:
    """Return `(N, dim)` cosines then sines of `(N,)` positions, frequencies from 1 to 1e-4."""
    half = dim // 2
    exponents = torch.arange(half, device=positions.device, dtype=torch.float32) / half
    angles = positions.float()[:, None] * torch.exp(-math.log(10000.0) * exponents)[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def grid_embedding(height: int, width: int, like: Tensor) -> Tensor:
    """Return `(height*width, D)` row and column sinusoids for a grid of `D`-wide tokens."""
    half = like.shape[-1] // 2
    rows = sinusoidal_embedding(torch.arange(height, device=like.device), half)
    columns = sinusoidal_embedding(torch.arange(width, device=like.device), half)
    grid = torch.cat(
        [rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=-1
    )
    return grid.flatten(0, 1).to(like.dtype)
