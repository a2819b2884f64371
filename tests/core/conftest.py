"""The published schedule, and a network small enough to be run dozens of times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.unet import DanceUNet
from tests.core.tiny_unet import speaking, tiny_unet

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def schedule() -> NoiseSchedule:
    return NoiseSchedule.from_config(ScheduleConfig())


@pytest.fixture(scope="session")
def golden() -> dict[str, NDArray[Any]]:
    """Figures read off UniAnimate's network; see tests/golden/README.md."""
    with np.load(GOLDEN / "unet_small.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def make_unet() -> Callable[..., DanceUNet]:
    """Return a network of two levels whose every weight differs from zero."""

    def make(face_tokens: bool = False) -> DanceUNet:
        torch.manual_seed(0)
        unet = tiny_unet(channel_multipliers=(1, 2), attention_levels=(True, True))
        if face_tokens:
            unet.add_face_tokens("vae")
        return speaking(unet)

    return make


@pytest.fixture
def make_conditions() -> Callable[..., Conditions]:
    """Return the conditions of clips of 32 x 32 pixels on a latent grid of 8 x 8, with a face."""

    def make(seed: int, batch: int = 1, num_frames: int = 3) -> Conditions:
        stream = torch.Generator().manual_seed(seed)
        return Conditions(
            pose=torch.rand(batch, 3, num_frames, 32, 32, generator=stream),
            reference_pose=torch.rand(batch, 3, 32, 32, generator=stream),
            reference_latents=torch.randn(batch, 4, 8, 8, generator=stream),
            face_latents=torch.randn(batch, 4, 8, 8, generator=stream),
            has_face=torch.ones(batch),
        )

    return make
