"""Published files become a model folder that computes what they do."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from torch import Tensor

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.clip import empty_prompt_embedding, read_clip
from dancelcm_cli.models.convert import convert
from dancelcm_cli.models.sources import Sources, find_sources
from dancelcm_cli.progress import SilentProgress
from tests.core.test_unet_parity import KEYS, normal, weight
from tests.models.published import (
    AUTOENCODER,
    CLIP,
    NETWORK,
    autoencoder,
    network,
    openclip_tensors,
    upstream,
)

PARTS = {"unet", "vae", "scheduler", "image_encoder", "model_index.json", "recipe.toml"}
GOLDEN = KEYS.with_name("unet_small.npz")


class InterruptedProgress(SilentProgress):
    """A user who presses Ctrl-C once `steps` parts are done."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    @contextmanager
    def task(
        self, description: str, total: int, completed: int = 0, unit: Any = "items"
    ) -> Iterator[Callable[[int, str], None]]:
        def advance(count: int, note: str) -> None:
            self._left -= count
            if self._left < 0:
                raise KeyboardInterrupt

        yield advance


def test_a_converted_folder_is_a_model_of_safetensors(converted: Path) -> None:
    assert {path.name for path in converted.iterdir()} == PARTS
    suffixes = {path.suffix for path in converted.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".toml"}


def test_a_converted_folder_is_used_as_unianimate_is(converted: Path) -> None:
    assert load_recipe(converted / "recipe.toml") == load_recipe("unianimate")


def test_every_number_arrives(converted: Path, published: Path) -> None:
    pipeline = load_pipeline(converted)
    for name, tensor in network().named_parameters():
        assert pipeline.unet.get_parameter(name).equal(tensor), name
    for name, tensor in autoencoder().named_parameters():
        assert pipeline.vae.get_parameter(name).equal(tensor), name
    expected = empty_prompt_embedding(read_clip(published / CLIP))
    assert pipeline.unet.text_embedding.equal(expected)
    projection = openclip_tensors()["visual.proj"]
    assert pipeline.image_encoder.visual_projection.weight.equal(projection.T)


def test_a_converted_folder_is_a_teacher(converted: Path) -> None:
    config = load_pipeline(converted).config
    assert config.num_segments == 0
    assert config.noise_offset == 0.1


def test_a_converted_folder_does_not_tell_where_it_was_made(
    converted: Path, published: Path
) -> None:
    for config in converted.rglob("*.json"):
        text = config.read_text()
        assert str(published.parent) not in text
        assert str(converted.parent) not in text


@pytest.mark.slow
@torch.no_grad()
def test_the_converted_network_is_unianimates(published: Path, tmp_path: Path) -> None:
    shapes = json.loads(gzip.decompress(KEYS.read_bytes()))["small"]
    torch.save({key: weight(key, shape) for key, shape in shapes.items()}, tmp_path / NETWORK)
    torch.save(openclip_tensors(1024, 64, 77, 1024), tmp_path / CLIP)
    sources = find_sources(tmp_path / NETWORK, published / AUTOENCODER)
    convert(sources, tmp_path / "model", SilentProgress())
    unet = load_pipeline(tmp_path / "model").unet
    unet.text_embedding.copy_(normal("zero_y", (1, 77, 1024))[0])
    poses = torch.sigmoid(normal("public.dwpose", (2, 3, 4, 128, 64)))
    conditions = Conditions(
        pose=poses[:, :, 1:],
        reference_pose=poses[:, :, 0],
        reference_latents=normal("public.randomref", (2, 4, 1, 16, 8))[:, :, 0],
        image_embeds=normal("public.image", (2, 1, 1024))[:, 0],
    )
    noisy_latents = normal("public.x", (2, 4, 3, 16, 8))
    timesteps = torch.tensor([999, 517])
    velocity = unet(noisy_latents, timesteps, unet.encode_conditions(conditions))
    expected = torch.from_numpy(np.load(GOLDEN)["cond"])
    assert (velocity - expected).abs().max() < 1e-4 * expected.abs().max()


# --- what does not fit ---


def spoilt(published: Path, folder: Path, **change: Tensor | None) -> Sources:
    """Copy the published files, but with tensors of the network changed, or lost where None."""
    shutil.copytree(published, folder)
    tensors = {name: t for name, t in {**upstream(network()), **change}.items() if t is not None}
    torch.save({"state_dict": tensors}, folder / NETWORK)
    return find_sources(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"out.2.bias": None}, r"1 tensors, such as missing out\.2\.bias"),
        ({"ema.out.2.bias": torch.zeros(4)}, r"1 tensors, such as unknown ema\.out\.2\.bias"),
        ({"out.2.bias": torch.zeros(5)}, r"1 tensors, such as misshapen out\.2\.bias: \(5,\)"),
        ({"input_blocks.0.0.weight": None}, r"input_blocks\.0\.0\.weight is not among"),
        ({f"ema.{index}": torch.zeros(1) for index in range(12)}, "12 tensors, such as unknown"),
    ],
    ids=["missing", "extra", "misshapen", "no first layer", "many"],
)
def test_a_network_that_does_not_fit_is_refused_and_nothing_written(
    published: Path, tmp_path: Path, change: dict[str, Tensor | None], complaint: str
) -> None:
    sources = spoilt(published, tmp_path / "checkpoints", **change)
    with pytest.raises(InputError, match=complaint) as refusal:
        convert(sources, tmp_path / "model", SilentProgress())
    assert refusal.value.message.count(";") <= 9
    assert refusal.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


@pytest.mark.parametrize(
    ("clip", "complaint"),
    [
        (openclip_tensors(width=64), "text tower's width must be 128 for this network, got 64"),
        (openclip_tensors(embed_dim=16), "image embedding must be 32 for this network, got 16"),
    ],
    ids=["text", "image"],
)
def test_towers_of_another_size_are_refused(
    published: Path, tmp_path: Path, clip: dict[str, Tensor], complaint: str
) -> None:
    torch.save(clip, tmp_path / CLIP)
    sources = find_sources(published, image_encoder=tmp_path / CLIP)
    with pytest.raises(InputError, match=complaint):
        convert(sources, tmp_path / "model", SilentProgress())


def test_an_autoencoder_of_another_size_is_refused(published: Path, tmp_path: Path) -> None:
    vae = type(autoencoder())(block_out_channels=(32,), latent_channels=8)
    vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(InputError, match="latents' channels must be 4 for this network, got 8"):
        convert(find_sources(published, tmp_path / "vae"), tmp_path / "model", SilentProgress())


class Trap:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("name", [NETWORK, AUTOENCODER, CLIP])
def test_a_pickle_with_foreign_code_is_refused_by_its_name(
    published: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(published, tmp_path / "checkpoints")
    torch.save({"state_dict": {}, "callbacks": Trap()}, tmp_path / "checkpoints" / name)
    with pytest.raises(InputError, match=rf"{name} must hold tensors alone.*system"):
        convert(find_sources(tmp_path / "checkpoints"), tmp_path / "model", SilentProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


# --- writing ---


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_an_interrupted_convert_leaves_nothing(published: Path, tmp_path: Path, steps: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(find_sources(published), tmp_path / "model", InterruptedProgress(steps))
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced(published: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="must not exist yet"):
        convert(find_sources(published), tmp_path, SilentProgress())
    assert (tmp_path / "notes.txt").read_text() == "mine"


MEASURED = """
import sys
from pathlib import Path
from dancelcm_cli.models.convert import convert
from dancelcm_cli.models.sources import find_sources
from dancelcm_cli.progress import SilentProgress

small, large, output = map(Path, sys.argv[1:])

def peak(source, folder):
    convert(find_sources(source), folder, SilentProgress())
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

before = peak(small, output / "small-model")  # the libraries are in memory from now on
print(peak(large, output / "large-model") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of memory")
def test_a_large_checkpoint_is_in_memory_once(published: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    shutil.copytree(published, large)
    with init_empty_weights():
        unet = DanceUNet.from_config(dict(network().config) | {"dim": 192})
    tensors = {name: torch.zeros(parameter.shape) for name, parameter in unet.named_parameters()}
    unet.load_state_dict(tensors, strict=False, assign=True)
    torch.save(upstream(unet), large / NETWORK)
    del unet, tensors
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(published), str(large), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = sum(f.stat().st_size for f in (tmp_path / "large-model").rglob("*") if f.is_file())
    assert written > 150e6
    assert 0.1 * written < int(done.stdout) < 1.3 * written
