"""Clips longer than what the network sees at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dancelcm_cli.core.clip_predictor import ClipPredictor
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.unet import DanceUNet

MakeUNet = Callable[..., DanceUNet]
FRAMES = 10
TIMESTEPS = torch.tensor([500])


@pytest.fixture
def conditions() -> Conditions:
    stream = torch.Generator().manual_seed(0)
    return Conditions(
        pose=torch.rand(1, 3, FRAMES, 32, 32, generator=stream),
        reference_pose=torch.rand(1, 3, 32, 32, generator=stream),
        reference_latents=torch.randn(1, 4, 8, 8, generator=stream),
        face_latents=torch.randn(1, 4, 4, 4, generator=stream),
    )


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(1, 4, FRAMES, 8, 8, generator=torch.Generator().manual_seed(1))


def make_predictor(unet: DanceUNet, conditions: Conditions, **options: Any) -> ClipPredictor:
    return ClipPredictor(unet, conditions, SamplingOptions(**options))


@torch.no_grad()
@pytest.mark.parametrize("guidance_scale", [1.0, 2.5])
def test_a_window_as_long_as_the_clip_is_the_network_itself(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor, guidance_scale: float
) -> None:
    unet = make_unet(face_tokens=True)
    predict = make_predictor(unet, conditions, window=FRAMES, guidance_scale=guidance_scale)
    given = unet(latents, TIMESTEPS, unet.encode_conditions(conditions))
    null = unet(latents, TIMESTEPS, unet.encode_conditions(conditions, torch.zeros(1)))
    wanted = null + guidance_scale * (given - null)
    torch.testing.assert_close(predict(latents, TIMESTEPS), wanted)


@torch.no_grad()
@pytest.mark.parametrize("guidance_scale", [1.0, 2.5])
def test_a_frame_of_one_window_is_what_that_window_says_alone(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor, guidance_scale: float
) -> None:
    unet = make_unet(face_tokens=True)
    options = {"window": 6, "overlap": 2, "guidance_scale": guidance_scale}
    fused = make_predictor(unet, conditions, **options)(latents, TIMESTEPS)
    for window in (range(6), range(4, 10)):
        frames = slice(window.start, window.stop)
        part = replace(conditions, pose=conditions.pose[:, :, frames])
        given = unet(latents[:, :, frames], TIMESTEPS, unet.encode_conditions(part))
        keep = torch.zeros(1)
        null = unet(latents[:, :, frames], TIMESTEPS, unet.encode_conditions(part, keep))
        alone = null + guidance_scale * (given - null)
        own = [i for i, frame in enumerate(window) if frame < 4 or frame >= 6]
        torch.testing.assert_close(
            fused[:, :, [window.start + i for i in own]], alone[:, :, own], rtol=0, atol=1e-5
        )


@torch.no_grad()
def test_a_clip_shorter_than_the_overlap_is_one_window(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor
) -> None:
    unet = make_unet()
    predict = make_predictor(unet, conditions, window=FRAMES + 6, overlap=FRAMES + 2)
    wanted = unet(latents, TIMESTEPS, unet.encode_conditions(conditions))
    torch.testing.assert_close(predict(latents, TIMESTEPS), wanted)


@torch.no_grad()
def test_windows_move_from_step_to_step(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor
) -> None:
    seen: list[int] = []
    numbers = torch.arange(float(FRAMES)).view(1, 1, -1, 1, 1)
    numbered = replace(conditions, pose=numbers.expand(1, 3, -1, 32, 32))
    unet = make_unet()
    unet.pose_stem.register_forward_hook(
        lambda stem, inputs, output: seen.append(int(inputs[0][0, 0, 0, 0, 0]))
    )
    predict = make_predictor(unet, numbered, window=4, overlap=2)
    assert seen == [0]  # one window's poses at a time
    for _ in range(2):
        predict(latents, TIMESTEPS)
    assert seen[1:] == [0, 2, 4, 6, 0, 1, 3, 5, 6]


@torch.no_grad()
def test_the_context_is_projected_once_for_all_windows_and_steps(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor
) -> None:
    unet, calls = make_unet(), []
    unet.reference_stem.register_forward_hook(lambda *_: calls.append(1))
    predict = make_predictor(unet, conditions, window=4, overlap=1)
    for _ in range(3):
        predict(latents, TIMESTEPS)
    assert calls == [1]
