"""A model of UniAnimate's kind at tiny size: random CLIP features condition a random network."""

from __future__ import annotations

import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from tests.core.tiny_unet import speaking, tiny_unet

EMBED_DIM = 12


def tiny_image_encoder(seed: int = 0) -> CLIPVisionModelWithProjection:
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=EMBED_DIM,
    )
    encoder = CLIPVisionModelWithProjection(config)
    with torch.no_grad():
        encoder.visual_projection.weight.normal_()  # transformers starts it near zero
    return encoder.eval()


def tiny_clip_pipeline() -> DancePipeline:
    """Return a pipeline whose network reads CLIP's features of the photo and of the face."""
    encoder = tiny_image_encoder()
    unet = speaking(tiny_unet(image_tokens="clip", image_embed_dim=EMBED_DIM, face_tokens="clip"))
    unet.face_gate.detach().fill_(0.0)
    vae = PatchAutoencoder(
        latent_channels=4, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    pipeline = DancePipeline(
        unet.eval(), vae.eval(), make_scheduler(ScheduleConfig()), encoder, num_segments=2
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
