"""UniAnimate's tensors tell how large its network is, and come back as they were."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from accelerate import init_empty_weights
from torch import Tensor

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.teacher_keys import load_upstream, read_architecture, to_upstream
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.errors import InputError
from tests.core.test_unet_parity import KEYS, weight

Shapes = dict[str, list[int]]
PUBLISHED = load_recipe("unianimate", []).network


@pytest.fixture(scope="module")
def shapes() -> dict[str, Shapes]:
    loaded: dict[str, Shapes] = json.loads(gzip.decompress(KEYS.read_bytes()))
    return loaded


def hollow(shapes: Shapes) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def drop(tensors: dict[str, Tensor], prefix: str) -> None:
    for key in [key for key in tensors if key.startswith(prefix)]:
        del tensors[key]


def test_the_released_checkpoint_is_the_recipes_network(shapes: dict[str, Shapes]) -> None:
    assert read_architecture(hollow(shapes["full"])) == (PUBLISHED, 4)


def test_a_smaller_network_of_the_family_is_told_by_its_tensors(shapes: dict[str, Shapes]) -> None:
    small = replace(PUBLISHED, dim=32, head_dim=16)
    assert read_architecture(hollow(shapes["small"])) == (small, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"channel_multipliers": (1, 2), "attention_levels": (False, True)},
        {"blocks_per_level": 1, "head_dim": 8},
        {"context_dim": 64, "image_embed_dim": 48},
        {"first_frame": False},
    ],
    ids=["two levels", "one block", "other context", "no first frame"],
)
def test_what_was_written_under_upstreams_names_tells_its_network(
    change: dict[str, object],
) -> None:
    network = replace(PUBLISHED, **{"dim": 32, "head_dim": 16, **change})
    with init_empty_weights():
        unet = DanceUNet.from_network(network, latent_channels=4)
    tensors = to_upstream(unet, unet.state_dict())
    assert read_architecture(tensors) == (network, 4)


def test_names_and_shapes_that_are_written_are_the_released_ones(
    shapes: dict[str, Shapes],
) -> None:
    with init_empty_weights():
        unet = DanceUNet()
    written = {key: list(t.shape) for key, t in to_upstream(unet, unet.state_dict()).items()}
    assert written == shapes["full"]


def test_a_checkpoint_that_was_read_is_written_bit_for_bit(shapes: dict[str, Shapes]) -> None:
    checkpoint = {key: weight(key, shape) for key, shape in shapes["small"].items()}
    with init_empty_weights():
        unet = DanceUNet.from_network(*read_architecture(checkpoint))
    load_upstream(unet, checkpoint)
    written = to_upstream(unet, unet.state_dict())
    assert written.keys() == checkpoint.keys()
    assert all(written[key].equal(tensor) for key, tensor in checkpoint.items())


@pytest.mark.parametrize(
    "lost", ["input_blocks.3.op.weight", "input_blocks.2.0.in_layers.2.weight", "out.2.bias"]
)
def test_one_lost_tensor_is_the_only_one_that_is_missed(
    shapes: dict[str, Shapes], lost: str
) -> None:
    tensors = hollow(shapes["small"])
    del tensors[lost]
    with init_empty_weights():
        unet = DanceUNet.from_network(*read_architecture(tensors))
    with pytest.raises(InputError, match=f"1 tensors, such as missing {re.escape(lost)}"):
        load_upstream(unet, tensors)


def test_what_upstream_has_no_place_for_is_left_out(shapes: dict[str, Shapes]) -> None:
    with init_empty_weights():
        unet = DanceUNet(dim=32, head_dim=16, face_tokens="vae")
    assert to_upstream(unet, unet.state_dict()).keys() == shapes["small"].keys()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda tensors: tensors.clear(), "input_blocks.0.0.weight is not among"),
        (
            lambda tensors: tensors.pop("pre_image_condition.0.weight"),
            "pre_image_condition.0.weight is not among",
        ),
        (lambda tensors: drop(tensors, "input_blocks.3.op."), "alike"),
        (lambda tensors: drop(tensors, "input_blocks.11."), "alike"),
        (
            lambda tensors: tensors.update({"input_blocks.0.0.weight": torch.zeros(())}),
            "input_blocks.0.0.weight is not among",
        ),
        (
            lambda tensors: tensors.update({"input_blocks.0.0.weight": torch.zeros(20, 12, 3, 3)}),
            "multiples of the first",
        ),
    ],
    ids=["empty", "image tokens", "a level", "a block", "a scalar", "a width"],
)
def test_tensors_that_tell_no_network_are_refused(
    shapes: dict[str, Shapes], spoil: Callable[[dict[str, Tensor]], object], complaint: str
) -> None:
    tensors = hollow(shapes["small"])
    spoil(tensors)
    with pytest.raises(InputError, match=complaint) as refusal:
        read_architecture(tensors)
    assert refusal.value.hint
