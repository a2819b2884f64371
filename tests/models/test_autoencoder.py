from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor

from dancelcm_cli.errors import InputError
from dancelcm_cli.models.autoencoder import read_autoencoder
from tests.models.published import AUTOENCODER, autoencoder, ldm_tensors


@pytest.fixture(scope="module")
def expected() -> AutoencoderKL:
    return autoencoder()


def equal(found: AutoencoderKL, expected: AutoencoderKL) -> bool:
    tensors = expected.state_dict()
    return found.state_dict().keys() == tensors.keys() and all(
        tensor.equal(tensors[name]) for name, tensor in found.state_dict().items()
    )


def old_attention(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Spell the attentions as the published sd-vae-ft-mse does."""
    spelt = {
        ".to_q.": ".query.",
        ".to_k.": ".key.",
        ".to_v.": ".value.",
        ".to_out.0.": ".proj_attn.",
    }
    renamed = {}
    for name, tensor in tensors.items():
        for new, old in spelt.items():
            name = name.replace(new, old)
        renamed[name] = tensor
    return renamed


def test_stable_diffusions_checkpoint_gives_its_autoencoder(
    published: Path, expected: AutoencoderKL
) -> None:
    found = read_autoencoder(published / AUTOENCODER)
    assert equal(found, expected)
    assert found.config.sample_size == 512


def test_every_layout_gives_the_same_autoencoder(expected: AutoencoderKL, tmp_path: Path) -> None:
    expected.save_pretrained(tmp_path / "folder")
    save_file(ldm_tensors(expected), tmp_path / "ldm.safetensors")
    save_file(expected.state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    save_file(old_attention(expected.state_dict()), tmp_path / "old.safetensors")
    (tmp_path / "pickled").mkdir()
    torch.save(expected.state_dict(), tmp_path / "pickled" / "diffusion_pytorch_model.bin")
    for source in ("folder", "pickled"):
        assert equal(read_autoencoder(tmp_path / source), expected)
    for file in tmp_path.glob("*.safetensors"):
        found = read_autoencoder(file)
        assert equal(found, expected), file
        assert found.config.block_out_channels == [32, 64]


@torch.no_grad()
def test_it_encodes_as_the_one_it_was_made_of(published: Path, expected: AutoencoderKL) -> None:
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = read_autoencoder(published / AUTOENCODER)
    means = [vae.encode(pixels).latent_dist.mean for vae in (found, expected)]
    torch.testing.assert_close(*means, rtol=0, atol=1e-5)


def test_the_config_of_a_folder_is_heeded_but_for_the_scale(tmp_path: Path) -> None:
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, scaling_factor=0.18125)
    vae.save_pretrained(tmp_path)
    found = read_autoencoder(tmp_path)
    assert equal(found, vae)
    assert found.config.norm_num_groups == 4
    assert found.config.scaling_factor == 0.18215


@pytest.mark.parametrize(
    "tensors", [{"weight": torch.zeros(2)}, {"encoder.conv_in.weight": torch.zeros(2)}]
)
def test_another_network_is_refused(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    torch.save(tensors, tmp_path / "file.ckpt")
    with pytest.raises(InputError, match="must hold Stable Diffusion's autoencoder") as refusal:
        read_autoencoder(tmp_path / "file.ckpt")
    assert refusal.value.hint


@pytest.mark.parametrize("name", ["decoder.up.0.block.1.norm1.weight", "quant_conv.bias"])
def test_a_lost_tensor_is_named(expected: AutoencoderKL, tmp_path: Path, name: str) -> None:
    tensors = ldm_tensors(expected)
    del tensors[name]
    torch.save(tensors, tmp_path / AUTOENCODER)
    with pytest.raises(InputError, match="1 tensors, such as missing"):
        read_autoencoder(tmp_path / AUTOENCODER)


def test_a_config_that_makes_no_autoencoder_is_refused(
    expected: AutoencoderKL, tmp_path: Path
) -> None:
    expected.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"norm_num_groups": 5}))
    with pytest.raises(InputError, match="makes no autoencoder"):
        read_autoencoder(tmp_path)
    config.write_text("{")
    with pytest.raises(InputError, match="must be a JSON object"):
        read_autoencoder(tmp_path)
