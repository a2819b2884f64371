"""The towers compute what OpenCLIP's do: derived here anew, in plain PyTorch, from its tensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
)

from dancelcm_cli.errors import InputError, WeightsMissingError
from dancelcm_cli.models.clip import empty_prompt_embedding, image_encoder, read_clip
from tests.models.published import CLIP, CONTEXT_DIM, TEXT_TOKENS, WORDS, openclip_tensors

HEADS = 2
FIRST = "visual.transformer.resblocks.0"
KINDS = ("weight", "bias")


def block(tensors: dict[str, Tensor], name: str, tokens: Tensor, mask: Tensor | None) -> Tensor:
    """One residual attention block of OpenCLIP's on `(B, T, C)`, by PyTorch's own attention."""
    own = {key.removeprefix(name): t for key, t in tensors.items() if key.startswith(name)}
    width = tokens.shape[-1]
    attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
    attention.load_state_dict({k.removeprefix("attn."): own[k] for k in own if "attn." in k})
    normed = F.layer_norm(tokens, (width,), own["ln_1.weight"], own["ln_1.bias"])
    tokens = tokens + attention(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
    normed = F.layer_norm(tokens, (width,), own["ln_2.weight"], own["ln_2.bias"])
    hidden = F.gelu(F.linear(normed, own["mlp.c_fc.weight"], own["mlp.c_fc.bias"]))
    return tokens + F.linear(hidden, own["mlp.c_proj.weight"], own["mlp.c_proj.bias"])


def norm(tensors: dict[str, Tensor], name: str, tokens: Tensor) -> Tensor:
    shape = (tokens.shape[-1],)
    return F.layer_norm(tokens, shape, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


@torch.no_grad()
def expected_text(tensors: dict[str, Tensor], layers: int) -> Tensor:
    prompt = torch.tensor([[WORDS - 2, WORDS - 1, *[0] * (TEXT_TOKENS - 2)]])
    tokens = tensors["token_embedding.weight"][prompt] + tensors["positional_embedding"]
    mask = torch.full((TEXT_TOKENS, TEXT_TOKENS), float("-inf")).triu(1)
    for index in range(layers - 1):
        tokens = block(tensors, f"transformer.resblocks.{index}.", tokens, mask)
    return norm(tensors, "ln_final", tokens)[0]


@torch.no_grad()
def expected_image(tensors: dict[str, Tensor], pictures: Tensor, layers: int) -> Tensor:
    patches = F.conv2d(pictures, tensors["visual.conv1.weight"], stride=14).flatten(2).mT
    first = tensors["visual.class_embedding"].expand(len(pictures), 1, -1)
    tokens = torch.cat([first, patches], dim=1) + tensors["visual.positional_embedding"]
    tokens = norm(tensors, "visual.ln_pre", tokens)
    for index in range(layers):
        tokens = block(tensors, f"visual.transformer.resblocks.{index}.", tokens, None)
    return norm(tensors, "visual.ln_post", tokens[:, 0]) @ tensors["visual.proj"]


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return openclip_tensors()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def transformers_folder(published: Path, tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    """All of the same CLIP, as transformers writes it: its towers state no projection."""
    clip = read_clip(published / CLIP)
    sizes = {"hidden_size": CONTEXT_DIM, "intermediate_size": 4 * CONTEXT_DIM, "hidden_act": "gelu"}
    text = {
        **sizes,
        "num_hidden_layers": 3,
        "num_attention_heads": HEADS,
        "vocab_size": WORDS,
        "max_position_embeddings": TEXT_TOKENS,
        "bos_token_id": WORDS - 2,
        "eos_token_id": WORDS - 1,
    }
    vision = {
        **sizes,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "image_size": 28,
        "patch_size": 14,
    }
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32))
    model.load_state_dict({**clip.tensors, "logit_scale": tensors["logit_scale"]})
    model.save_pretrained(tmp_path / "clip")
    return tmp_path / "clip"


def test_the_empty_prompt_is_embedded_as_openclip_does(
    published: Path, tensors: dict[str, Tensor]
) -> None:
    embedding = empty_prompt_embedding(read_clip(published / CLIP))
    assert embedding.shape == (TEXT_TOKENS, CONTEXT_DIM)
    torch.testing.assert_close(embedding, expected_text(tensors, layers=3), rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_picture_is_embedded_as_openclip_does(
    published: Path, tensors: dict[str, Tensor], pictures: Tensor
) -> None:
    embeddings = image_encoder(read_clip(published / CLIP))(pictures).image_embeds
    expected = expected_image(tensors, pictures, layers=2)
    torch.testing.assert_close(embeddings, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_folder_of_transformers_gives_the_same_towers(
    transformers_folder: Path, published: Path, pictures: Tensor
) -> None:
    folder, file = read_clip(transformers_folder), read_clip(published / CLIP)
    assert empty_prompt_embedding(folder).equal(empty_prompt_embedding(file))
    images = [image_encoder(clip)(pictures).image_embeds for clip in (folder, file)]
    assert images[0].equal(images[1])


def test_heads_of_vit_h_are_80_wide(tmp_path: Path) -> None:
    width = 1280
    tensors = {
        "visual.class_embedding": torch.ones(width),
        "visual.positional_embedding": torch.zeros(5, width),
        "visual.conv1.weight": torch.zeros(width, 3, 2, 2),
        "visual.proj": torch.zeros(width, 4),
        **{f"visual.ln_{n}.{k}": torch.ones(width) for n in ("pre", "post") for k in KINDS},
        **{f"{FIRST}.ln_{n}.{k}": torch.ones(width) for n in (1, 2) for k in KINDS},
        f"{FIRST}.attn.in_proj_weight": torch.zeros(3 * width, width),
        f"{FIRST}.attn.in_proj_bias": torch.zeros(3 * width),
        f"{FIRST}.attn.out_proj.weight": torch.zeros(width, width),
        f"{FIRST}.attn.out_proj.bias": torch.zeros(width),
        f"{FIRST}.mlp.c_fc.weight": torch.zeros(8, width),
        f"{FIRST}.mlp.c_fc.bias": torch.zeros(8),
        f"{FIRST}.mlp.c_proj.weight": torch.zeros(width, 8),
        f"{FIRST}.mlp.c_proj.bias": torch.zeros(width),
    }
    save_file(tensors, tmp_path / "open_clip_model.safetensors")
    encoder = image_encoder(read_clip(tmp_path / "open_clip_model.safetensors"))
    assert encoder.config.num_attention_heads == 16
    assert encoder.config.image_size == 4


@pytest.mark.parametrize("spelling", ["with a prefix", "bare"])
def test_stable_diffusions_text_encoder_has_lost_its_last_layer_already(
    published: Path, tmp_path: Path, spelling: str
) -> None:
    whole = read_clip(published / CLIP)
    config = CLIPTextConfig(
        hidden_size=CONTEXT_DIM,
        intermediate_size=4 * CONTEXT_DIM,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        hidden_act="gelu",
        vocab_size=WORDS,
        max_position_embeddings=TEXT_TOKENS,
        bos_token_id=WORDS - 2,
        eos_token_id=WORDS - 1,
    )
    CLIPTextModel(config).save_pretrained(tmp_path)
    prefix = "text_model." if spelling == "with a prefix" else ""
    tensors = {
        f"{prefix}{name}": tensor.clone()
        for name, tensor in whole.tower("text_model.").items()
        if not name.startswith("encoder.layers.2.")
    }
    if prefix:  # transformers of the time of Stable Diffusion 2 wrote this as well
        tensors[f"{prefix}embeddings.position_ids"] = torch.arange(TEXT_TOKENS)[None]
    save_file(tensors, tmp_path / "model.safetensors")
    assert empty_prompt_embedding(read_clip(tmp_path)).equal(empty_prompt_embedding(whole))


def test_the_activation_of_a_folder_is_the_one_it_states(
    transformers_folder: Path, published: Path
) -> None:
    config = json.loads((transformers_folder / "config.json").read_text())
    config["text_config"]["hidden_act"] = "quick_gelu"
    (transformers_folder / "config.json").write_text(json.dumps(config))
    quick = empty_prompt_embedding(read_clip(transformers_folder))
    assert not quick.equal(empty_prompt_embedding(read_clip(published / CLIP)))


# --- what is refused ---


@pytest.mark.parametrize(
    ("kept", "ask", "option"),
    [
        ("visual.", empty_prompt_embedding, "--text-encoder"),
        ("", image_encoder, "--image-encoder"),
    ],
)
def test_a_file_without_the_tower_is_refused_with_a_hint(
    tensors: dict[str, Tensor],
    tmp_path: Path,
    kept: str,
    ask: Callable[..., object],
    option: str,
) -> None:
    one = {n: t for n, t in tensors.items() if n.startswith("visual.") == bool(kept)}
    torch.save(one, tmp_path / CLIP)
    with pytest.raises(WeightsMissingError, match="but has none") as refusal:
        ask(read_clip(tmp_path / CLIP))
    assert refusal.value.exit_code == 3
    assert option in refusal.value.hint


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (empty_prompt_embedding, "transformer.resblocks.1.mlp.c_fc.bias"),
        (empty_prompt_embedding, "token_embedding.weight"),
        (image_encoder, "visual.ln_pre.bias"),
        (image_encoder, "visual.conv1.weight"),
        (image_encoder, "visual.proj"),
    ],
)
def test_a_tower_that_lacks_a_tensor_is_refused(
    tensors: dict[str, Tensor], tmp_path: Path, ask: Callable[..., object], name: str
) -> None:
    torch.save({n: t for n, t in tensors.items() if n != name}, tmp_path / CLIP)
    with pytest.raises(InputError, match=r"missing|must hold CLIP's"):
        ask(read_clip(tmp_path / CLIP))


def test_another_kind_of_clip_is_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**tensors, "visual.trunk.norm.weight": torch.ones(2)}, tmp_path / CLIP)
    with pytest.raises(InputError, match=r"it has visual\.trunk\.norm\.weight"):
        read_clip(tmp_path / CLIP)


def test_a_folder_without_a_config_is_refused(transformers_folder: Path) -> None:
    (transformers_folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json must be a JSON object"):
        read_clip(transformers_folder)
