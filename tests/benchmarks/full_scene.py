"""The published network with random weights, and what it is to animate.

The frames mean nothing; shapes, precision and the way through the pipeline are those of a real
animation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.conditioning import StreamedConditions
from dancelcm_cli.core.device import place
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.unet import DanceUNet


@dataclass(frozen=True)
class Scene:
    """A pipeline of random weights and what it is to animate."""

    pipeline: DancePipeline
    recipe: Recipe
    device: torch.device
    pictures: tuple[Any, ...]  # as `DancePipeline.encode` takes them

    def options(self, num_steps: int, guidance: float = 1.0) -> SamplingOptions:
        sampler = "edge_renoise" if guidance == 1.0 else "ddim"
        return SamplingOptions(num_steps, guidance, sampler)

    def encode(self) -> StreamedConditions:
        """Encode all but the poses, which are brought to the device when denoising starts."""
        picture, poses, reference_pose = self.pictures
        still = self.pipeline.encode(picture, poses[:1], reference_pose)
        return StreamedConditions(still, poses)

    def noise(self, num_frames: int | None = None) -> Tensor:
        size = self.recipe.preprocess
        frames = num_frames or self.recipe.animate.num_frames
        grid = (size.height // 8, size.width // 8)
        return torch.randn(1, 4, frames, *grid, device=self.device)

    def network_call(self) -> Callable[[], Tensor]:
        """Return one forward of the network under encoded conditions."""
        unet = self.pipeline.unet
        conditions = self.encode().within(range(self.recipe.animate.num_frames))
        encoded = unet.encode_conditions(conditions.to(self.device).to(unet.dtype))
        timestep = torch.tensor([499], device=self.device)
        return partial(unet, self.noise().to(unet.dtype), timestep, encoded)

    def animate(self) -> None:
        """Pictures in, pixels out, as a user's call does it."""
        config = self.recipe.animate
        self.pipeline(
            *self.pictures,
            num_inference_steps=config.steps,
            sampler=config.sampler,
            decode_chunk=config.decode_chunk,
        )


def make_autoencoder(channels: tuple[int, ...]) -> AutoencoderKL:
    """Return Stable Diffusion 2.1's autoencoder, or one of other `channels`, untrained."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=4,
        sample_size=768,
    )


def make_image_encoder(embed_dim: int) -> CLIPVisionModelWithProjection:
    """Return a tower of the size of OpenCLIP's ViT-H/14, untrained."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=1280,
            intermediate_size=5120,
            num_hidden_layers=32,
            num_attention_heads=16,
            patch_size=14,
            projection_dim=embed_dim,
        )
    )


def make_scene(recipe: Recipe, device: torch.device, channels: tuple[int, ...]) -> Scene:
    """Build everything on the device; no weight is zero, on which a GPU would be faster."""
    torch.manual_seed(0)
    by_clip = recipe.network.image_tokens == "clip"
    with device:
        parts: list[Any] = [DanceUNet.from_network(recipe.network, 4), make_autoencoder(channels)]
        if by_clip:
            parts.append(make_image_encoder(recipe.network.image_embed_dim))
        for part in parts:
            part.bfloat16().eval().requires_grad_(False)
            for parameter in part.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.02)
    unet, vae = parts[:2]
    scheduler, encoder = make_scheduler(recipe.schedule), parts[2] if by_clip else None
    pipeline = DancePipeline(unet, vae, scheduler, encoder, num_segments=2)
    pipeline.set_progress_bar_config(disable=True)
    size, frames = recipe.preprocess, recipe.animate.num_frames
    draw = np.random.default_rng(0).integers

    def picture(*shape: int) -> Any:
        return draw(0, 256, (*shape, size.height, size.width, 3), dtype=np.uint8)

    pictures = (picture(), picture(frames), picture())
    return Scene(place(pipeline, device, torch.bfloat16), recipe, device, pictures)
