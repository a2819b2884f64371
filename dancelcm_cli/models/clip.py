"""CLIP's two towers: the image encoder of a model folder, and the one prompt it is ever given.

UniAnimate conditions on OpenCLIP's ViT-H-14 (laion2b_s32b_b79k): on the projected embedding of the
photo, and on what the text tower makes of the empty prompt, which is a constant. So the image tower
is kept; the text tower is asked once and left behind.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from dancelcm_cli.core.misfits import fill
from dancelcm_cli.core.model_folder import read_config
from dancelcm_cli.data.tensor_files import read_folder_tensors, read_tensors
from dancelcm_cli.errors import InputError, WeightsMissingError

# OpenCLIP's names (`open_clip/transformer.py`) -> transformers' (`modeling_clip.py`)
TOP = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
TRANSPOSED = {
    "visual.proj": "visual_projection.weight",
    "text_projection": "text_projection.weight",
}
BLOCK = {
    "ln_1": "layer_norm1",
    "attn.out_proj": "self_attn.out_proj",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
BLOCK_NAME = re.compile(
    r"(visual\.)?transformer\.resblocks\.(\d+)\."
    r"(ln_1|ln_2|attn\.in_proj|attn\.out_proj|mlp\.c_fc|mlp\.c_proj)[._](weight|bias)"
)
UNUSED = {"logit_scale", "attn_mask"}
WRONG_FILE = "Check that it is the file it is named after, and fetch it again."
HEAD_DIMS = {1280: 80}  # ViT-H's image tower; the other towers of the family have 64


@dataclass(frozen=True)
class Clip:
    """One or both towers: tensors by transformers' names, and what its config says of them."""

    source: Path
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]

    def tower(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors of one tower by their names within it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix) and not name.endswith("position_ids")  # of old transformers
        }


def read_clip(source: Path) -> Clip:
    """Read OpenCLIP's file, or a folder that transformers wrote.

    Raises:
        InputError: there are no weights, damaged ones, or those of another kind of model.
    """
    if not source.is_dir():
        return Clip(source, dict(_from_openclip(source)), {"hidden_act": "gelu"})
    config = read_config(source / "config.json")
    tensors = read_folder_tensors(source)
    if "embeddings.token_embedding.weight" in tensors:  # a text tower alone, by transformers 5
        tensors = {f"text_model.{name}": tensor for name, tensor in tensors.items()}
    return Clip(source, tensors, config)


def image_encoder(clip: Clip) -> CLIPVisionModelWithProjection:
    """Return the image tower, its weights still in the file.

    Raises:
        WeightsMissingError: there is none in `clip`.
        InputError: its tensors do not fit each other.
    """
    tensors = clip.tower("vision_model.")
    if not tensors:
        raise WeightsMissingError(
            f"{clip.source} must hold CLIP's image tower, but has none.",
            hint="Name a file or folder that has one by --image-encoder.",
        )
    patches = _shape(clip, "vision_model.embeddings.patch_embedding.weight")
    places = _shape(clip, "vision_model.embeddings.position_embedding.weight")[0] - 1  # and a class
    config = CLIPVisionConfig(
        **_sizes(clip, "vision_model", "vision_config"),
        projection_dim=_shape(clip, "visual_projection.weight")[0],
        patch_size=patches[-1],
        image_size=math.isqrt(places) * patches[-1],
    )
    encoder = _unfilled(CLIPVisionModelWithProjection, config, clip.source)
    projection = {"visual_projection.weight": clip.tensors["visual_projection.weight"]}
    named = {f"vision_model.{name}": tensor for name, tensor in tensors.items()}
    fill(encoder, named | projection, clip.source)
    return encoder


@torch.no_grad()
def empty_prompt_embedding(clip: Clip) -> Tensor:
    """Return what the text tower makes of the empty prompt, `(tokens, width)` float32.

    It is the last layer but one, normalised as the last would be (ali-vilab/UniAnimate,
    `FrozenOpenCLIPTextVisualEmbedder`). The prompt is a start and an end, which close the
    vocabulary, and then zeros, which no mask hides. A tower without projection is the
    `text_encoder` of Stable Diffusion 2: its last layer is left out already.

    Raises:
        WeightsMissingError: there is no text tower in `clip`.
        InputError: its tensors do not fit each other.
    """
    tensors = clip.tower("text_model.")
    if not tensors:
        raise WeightsMissingError(
            f"{clip.source} must hold CLIP's text tower, but has none.",
            hint="Name open_clip_pytorch_model.bin, or Stable Diffusion 2.1's text_encoder "
            "folder, by --text-encoder.",
        )
    sizes = _sizes(clip, "text_model", "text_config")
    if "text_projection.weight" in clip.tensors:
        last = f"encoder.layers.{sizes['num_hidden_layers'] - 1}."
        sizes["num_hidden_layers"] -= 1
        tensors = {n: tensor for n, tensor in tensors.items() if not n.startswith(last)}
    num_words = _shape(clip, "text_model.embeddings.token_embedding.weight")[0]
    num_tokens = _shape(clip, "text_model.embeddings.position_embedding.weight")[0]
    start, end = num_words - 2, num_words - 1
    config = CLIPTextConfig(
        **sizes,
        vocab_size=num_words,
        max_position_embeddings=num_tokens,
        bos_token_id=start,
        eos_token_id=end,
    )
    text_tower = _unfilled(CLIPTextModelWithProjection, config, clip.source).text_model.eval()
    fill(text_tower, tensors, clip.source)
    prompt = torch.tensor([[start, end] + [0] * (num_tokens - 2)])
    embedding: Tensor = text_tower.float()(input_ids=prompt).last_hidden_state[0]
    return embedding


def _from_openclip(file: Path) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in read_tensors(file).items():
        if name in TOP:
            yield TOP[name], tensor
        elif name in TRANSPOSED:
            yield TRANSPOSED[name], tensor.T.contiguous()
        elif block := BLOCK_NAME.fullmatch(name):
            tower = "vision_model" if block[1] else "text_model"
            layer = f"{tower}.encoder.layers.{block[2]}"
            if block[3] != "attn.in_proj":
                yield f"{layer}.{BLOCK[block[3]]}.{block[4]}", tensor
                continue
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                yield f"{layer}.self_attn.{letter}_proj.{block[4]}", third
        elif name not in UNUSED:
            raise InputError(
                f"{file} must be OpenCLIP's ViT-H-14 or a smaller kin of it, but it has {name}.",
                hint="Give open_clip_pytorch_model.bin, or the folder that transformers wrote.",
            )


def _sizes(clip: Clip, tower: str, section: str) -> dict[str, Any]:
    """Read off a tower's tensors what both towers' configs ask for."""
    width, hidden_width = _shape(clip, f"{tower}.encoder.layers.0.mlp.fc2.weight")[:2]
    prefix = f"{tower}.encoder.layers."
    layers = {name.split(".")[3] for name in clip.tensors if name.startswith(prefix)}
    stated = clip.config.get(section, clip.config)
    return {
        "hidden_size": width,
        "intermediate_size": hidden_width,
        "num_hidden_layers": len(layers),
        "num_attention_heads": stated.get("num_attention_heads", width // HEAD_DIMS.get(width, 64)),
        "hidden_act": stated.get("hidden_act", "quick_gelu"),  # transformers' own default
    }


def _shape(clip: Clip, name: str) -> tuple[int, ...]:
    if name in clip.tensors and clip.tensors[name].ndim >= 2:
        return tuple(clip.tensors[name].shape)
    raise InputError(f"{clip.source} must hold CLIP's {name}, but does not.", hint=WRONG_FILE)


def _unfilled(kind: Any, config: Any, source: Path) -> Any:
    try:
        with init_empty_weights():
            return kind(config)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"{source} makes no CLIP ({error}).", hint=WRONG_FILE) from error
