"""A picture as CLIP sees it: the vector that the network's image tokens are made of.

The preprocessing is UniAnimate's (`vit_transforms` in `inference_unianimate_entrance.py` and
`utils/transforms.py` of ali-vilab/UniAnimate): the whole picture is squashed to a square by
Pillow's bilinear filter, brought to [0, 1] and normalised. The projected vector is used as it
comes, not brought to length 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from dancelcm_cli.core.vae import Frames
from dancelcm_cli.errors import WeightsMissingError

# Of the red, green and blue in [0, 1] of CLIP's training pictures (openai/CLIP, `clip/clip.py`).
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@torch.no_grad()
def encode_image(image_encoder: CLIPVisionModelWithProjection, picture: Frames) -> Tensor:
    """Return the features `(D,)` of a picture `(H, W, 3)` uint8, float32 on the CPU."""
    pixels = to_clip_pixels(picture, image_encoder.config.image_size)[None]
    pixels = pixels.to(image_encoder.device, image_encoder.dtype)
    image_embeds: Tensor = image_encoder(pixel_values=pixels).image_embeds
    return image_embeds[0].float().cpu()


def to_clip_pixels(picture: Frames, side: int) -> Tensor:
    """Squash a picture `(H, W, 3)` uint8 to normalised pixels `(3, side, side)` float32."""
    square = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(square)).float() / 255.0
    return rearrange((pixels - torch.tensor(MEAN)) / torch.tensor(DEVIATION), "h w c -> c h w")


def require_image_encoder(network: Mapping[str, Any], image_encoder: object) -> None:
    """Refuse a model whose network, by its config, reads image features that nothing makes.

    Raises:
        WeightsMissingError: the network needs an image encoder and there is none.
    """
    if image_encoder is None and "clip" in (
        network.get("image_tokens"),
        network.get("face_tokens"),
    ):
        raise WeightsMissingError(
            "The model must have an image encoder, since its network reads CLIP's image features,"
            " but its folder has none.",
            hint="Make the folder again by `dancelcm models convert`, naming the encoder's weights"
            " by --image-encoder.",
        )
