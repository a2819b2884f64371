"""Our network computes what the released UniAnimate network does, from the same weights."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise_prior import noised_reference
from dancelcm_cli.core.sampling import sample, teacher_steps
from dancelcm_cli.core.schedule import NoiseSchedule, guided
from dancelcm_cli.core.teacher_keys import load_upstream, upstream_keys
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.errors import InputError

KEYS = Path(__file__).parents[1] / "golden" / "unianimate_keys.json.gz"
SMALL = {"dim": 32, "head_dim": 16, "stem_heads": 8}
LATENTS = (2, 4, 3, 16, 8)
Shapes = Mapping[str, list[int]]
Golden = dict[str, NDArray[Any]]


def normal(name: str, shape: tuple[int, ...] | list[int]) -> Tensor:
    """Draw standard normal numbers that depend on `name` alone."""
    stream = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))
    return torch.from_numpy(stream.standard_normal(tuple(shape), dtype=np.float32))


def weight(key: str, shape: list[int]) -> Tensor:
    """Draw a checkpoint's tensor: gains around 1, biases around 0, matrices that keep variance."""
    drawn = normal(key, shape)
    if len(shape) > 1:
        return drawn / float(np.sqrt(np.prod(shape[1:])))
    return 1 + 0.1 * drawn if key.endswith("weight") else 0.1 * drawn


def relative_error(found: Tensor, expected: NDArray[Any]) -> float:
    return float((found - torch.from_numpy(expected)).abs().max() / np.abs(expected).max())


@pytest.fixture(scope="module")
def shapes() -> dict[str, Shapes]:
    loaded: dict[str, Shapes] = json.loads(gzip.decompress(KEYS.read_bytes()))
    return loaded


@pytest.fixture(scope="module")
def checkpoint(shapes: dict[str, Shapes]) -> dict[str, Tensor]:
    return {key: weight(key, shape) for key, shape in shapes["small"].items()}


@pytest.fixture(scope="module")
def unet(checkpoint: dict[str, Tensor]) -> DanceUNet:
    unet = DanceUNet(**SMALL)
    load_upstream(unet, checkpoint)
    unet.text_embedding.copy_(normal("zero_y", (1, 77, 1024))[0])
    return unet.eval()


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    poses = torch.sigmoid(normal("public.dwpose", (2, 3, 4, 128, 64)))
    return Conditions(
        pose=poses[:, :, 1:],
        reference_pose=poses[:, :, 0],
        reference_latents=normal("public.randomref", (2, 4, 1, 16, 8))[:, :, 0],
        image_embeds=normal("public.image", (2, 1, 1024))[:, 0],
    )


# --- the function ---


@pytest.mark.parametrize(("name", "keep"), [("cond", None), ("uncond", torch.zeros(2))])
@torch.no_grad()
def test_the_velocity_is_unianimates(
    unet: DanceUNet, conditions: Conditions, golden: Golden, name: str, keep: Tensor | None
) -> None:
    noisy_latents, timesteps = normal("public.x", LATENTS), torch.tensor([999, 517])
    velocity = unet(noisy_latents, timesteps, unet.encode_conditions(conditions, keep))
    assert relative_error(velocity, golden[name]) < 1e-4


@torch.no_grad()
def test_one_sample_of_the_batch_alone_has_the_same_velocity(
    unet: DanceUNet, conditions: Conditions, golden: Golden
) -> None:
    assert conditions.image_embeds is not None
    second = Conditions(
        pose=conditions.pose[1:],
        reference_pose=conditions.reference_pose[1:],
        reference_latents=conditions.reference_latents[1:],
        image_embeds=conditions.image_embeds[1:],
    )
    noisy_latents = normal("public.x", LATENTS)[1:]
    velocity = unet(noisy_latents, torch.tensor([517]), unet.encode_conditions(second))
    assert relative_error(velocity, golden["cond"][1:]) < 1e-4


def test_the_noised_reference_is_unianimates(
    schedule: NoiseSchedule, conditions: Conditions, golden: Golden
) -> None:
    assert relative_error(start(schedule, conditions), golden["noised_reference_949"]) < 1e-6


@torch.no_grad()
def test_four_guided_steps_end_where_unianimates_loop_does(
    unet: DanceUNet, conditions: Conditions, schedule: NoiseSchedule, golden: Golden
) -> None:
    conditional = unet.encode_conditions(conditions)
    unconditional = unet.encode_conditions(conditions, keep=torch.zeros(2))

    def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
        with_conditions = unet(latents, timesteps, conditional)
        return guided(with_conditions, unet(latents, timesteps, unconditional), guidance_scale=2.5)

    latents = sample(
        predict,
        start(schedule, conditions),
        teacher_steps(4, 1000, "upstream"),
        schedule,
        step_noise=lambda index: torch.zeros(LATENTS),
    )
    assert relative_error(latents, golden["ddim4_cfg2p5"]) < 1e-4


def start(schedule: NoiseSchedule, conditions: Conditions) -> Tensor:
    noise = normal("public.noise", LATENTS)
    return noised_reference(conditions.reference_latents, noise, 949, schedule)


# --- the weights ---


def test_the_released_checkpoint_fills_the_full_network(shapes: dict[str, Shapes]) -> None:
    with torch.device("meta"):
        unet = DanceUNet()
        released = {key: torch.empty(shape) for key, shape in shapes["full"].items()}
    keys = upstream_keys(unet)
    assert len(released) == 1544
    assert keys.keys() == dict(unet.named_parameters()).keys()
    assert sorted(keys.values()) == sorted(released)
    load_upstream(unet, released)
    assert sum(parameter.numel() for parameter in unet.parameters()) == 1_416_564_300


def test_every_tensor_arrives_at_its_parameter(
    unet: DanceUNet, checkpoint: dict[str, Tensor]
) -> None:
    keys = upstream_keys(unet)
    for name, parameter in unet.named_parameters():
        assert parameter.flatten().equal(checkpoint[keys[name]].flatten()), name


def test_face_tokens_are_left_as_they_are(checkpoint: dict[str, Tensor]) -> None:
    unet = DanceUNet(**SMALL, face_tokens="vae")
    before = {name: p.clone() for name, p in unet.named_parameters() if name.startswith("face_")}
    load_upstream(unet, checkpoint)
    after = dict(unet.named_parameters())
    assert before
    assert all(after[name].equal(tensor) for name, tensor in before.items())


KEY = "input_blocks.1.0.in_layers.2.weight"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({KEY: None}, f"1 tensors, such as missing {KEY}"),
        ({"step": torch.zeros(1)}, "1 tensors, such as unknown step"),
        ({KEY: torch.zeros(32, 32, 3)}, f"1 tensors, such as misshapen {KEY}"),
        ({KEY: None, "ema." + KEY: torch.zeros(32, 32, 3, 3)}, "2 tensors, such as missing"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_copied(
    checkpoint: dict[str, Tensor], change: dict[str, Tensor | None], complaint: str
) -> None:
    tensors = {k: t for k, t in {**checkpoint, **change}.items() if t is not None}
    unet = DanceUNet(**SMALL)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    with pytest.raises(InputError, match=complaint.replace(".", r"\.")) as refusal:
        load_upstream(unet, tensors)
    assert refusal.value.hint
    assert all(before[name].equal(tensor) for name, tensor in unet.state_dict().items())
