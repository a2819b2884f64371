"""A small autoencoder that starts as the principal components of picture patches.

A linear patch code is the best linear autoencoder from the first step on; residual convolutions in
patch space then learn what is not linear. It offers the interface of diffusers' `AutoencoderKL`,
which takes its place in the large model.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from einops import rearrange
from torch import Tensor, nn

NO_VARIANCE = -30.0  # log-variance of a code that is a point


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions on a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, width, h, w)` to the same shape."""
        out: Tensor = self.conv2(F.silu(self.conv1(F.silu(self.norm(features)))))
        return features + out


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Codes pictures `(B, 3, H, W)` in [-1, 1] as `(B, latent_channels, H/p, W/p)`."""

    config_name = "config.json"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 8,
        patch_size: int = 8,
        width: int = 128,
        encoder_blocks: int = 2,
        decoder_blocks: int = 6,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        pixels = 3 * patch_size**2
        self.encode_linear = nn.Linear(pixels, latent_channels)
        self.decode_linear = nn.Linear(latent_channels, pixels)
        self.encode_residual = _residual(pixels, width, encoder_blocks, latent_channels)
        self.decode_residual = _residual(latent_channels, width, decoder_blocks, pixels)

    @torch.no_grad()
    def start_from_components(self, pictures: Tensor) -> None:
        """Set the linear part to the principal components of patches of `(N, 3, H, W)` pictures.

        Each latent channel is divided by the square root of its standard deviation: halfway between
        raw components, whose first would outweigh the rest, and whitened ones, whose last would.
        """
        config: Any = self.config
        patches = self._patches(pictures).permute(0, 2, 3, 1).flatten(0, 2).double()
        mean = patches.mean(0)
        covariance = torch.cov((patches - mean).T)
        variances, components = torch.linalg.eigh(covariance)
        top = torch.arange(len(variances) - 1, len(variances) - 1 - config.latent_channels, -1)
        basis, scale = components[:, top], variances[top].clamp(min=1e-12) ** 0.25
        self.encode_linear.weight.copy_(basis.T / scale[:, None])
        self.encode_linear.bias.copy_(-(basis.T @ mean) / scale)
        self.decode_linear.weight.copy_(basis * scale)
        self.decode_linear.bias.copy_(mean)

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def encode(self, pictures: Tensor) -> AutoencoderKLOutput:
        """Return the code of `pictures` as a distribution without spread."""
        patches = self._patches(pictures)
        mean = _per_cell(self.encode_linear, patches) + self.encode_residual(patches)
        moments = torch.cat([mean, torch.full_like(mean, NO_VARIANCE)], dim=1)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(moments))

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def decode(self, latents: Tensor) -> DecoderOutput:
        """Return the pictures of unscaled `latents`."""
        config: Any = self.config
        patches = _per_cell(self.decode_linear, latents) + self.decode_residual(latents)
        return DecoderOutput(sample=F.pixel_shuffle(patches, config.patch_size))

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode and decode `pictures`."""
        out: Tensor = self.decode(self.encode(pictures).latent_dist.mode()).sample
        return out

    def _patches(self, pictures: Tensor) -> Tensor:
        config: Any = self.config
        return F.pixel_unshuffle(pictures, config.patch_size)


def _residual(in_channels: int, width: int, blocks: int, out_channels: int) -> nn.Sequential:
    last = nn.Conv2d(width, out_channels, 3, padding=1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1),
        *(ResidualBlock(width) for _ in range(blocks)),
        nn.SiLU(),
        last,
    )


def _per_cell(linear: nn.Linear, grid: Tensor) -> Tensor:
    out: Tensor = rearrange(linear(rearrange(grid, "b c h w -> b h w c")), "b h w c -> b c h w")
    return out
