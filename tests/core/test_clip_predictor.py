"""Clips longer than what the network sees at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Module

from dancelcm_cli.core import clip_predictor
from dancelcm_cli.core.clip_predictor import ClipPredictor, Denoising, Execution
from dancelcm_cli.core.conditioning import Conditions, StreamedConditions
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import to_pictures
from dancelcm_cli.core.windows import Fusion
from dancelcm_cli.errors import OutOfMemoryError

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
@pytest.mark.parametrize("room", [2**26, 0])
def test_windows_move_from_step_to_step_and_their_poses_are_kept_if_there_is_room(
    make_unet: MakeUNet,
    conditions: Conditions,
    latents: Tensor,
    room: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clip_predictor, "KEPT_BYTES", room)
    seen: list[int] = []
    numbers = torch.arange(float(FRAMES)).view(1, 1, -1, 1, 1)
    numbered = replace(conditions, pose=numbers.expand(1, 3, -1, 32, 32))
    unet = make_unet()
    unet.pose_stem.register_forward_hook(
        lambda stem, inputs, output: seen.append(int(inputs[0][0, 0, 0, 0, 0]))
    )
    predict = make_predictor(unet, numbered, window=4, overlap=2)
    assert seen == [0]  # one window's poses at a time
    for _ in range(3):
        predict(latents, TIMESTEPS)
    if room:
        assert seen[1:] == [2, 4, 6, 1, 3, 5]
    else:  # but the first
        assert seen[1:] == [2, 4, 6, 1, 3, 5, 6, 2, 4, 6]


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


@torch.no_grad()
@pytest.mark.parametrize("guidance_scale", [1.0, 2.5])
def test_windows_may_be_seen_at_once(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor, guidance_scale: float
) -> None:
    unet = make_unet(face_tokens=True)
    options = SamplingOptions(window=4, overlap=2, guidance_scale=guidance_scale)
    one, three = (
        ClipPredictor(unet, conditions, options, Execution(windows_at_once=n))(latents, TIMESTEPS)
        for n in (1, 3)
    )
    torch.testing.assert_close(one, three, rtol=0, atol=1e-5)  # kernels round by the batch's size


@torch.no_grad()
def test_poses_may_come_from_what_draws_them(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor
) -> None:
    unet, options = make_unet(), SamplingOptions(window=4, overlap=2)
    pictures = torch.randint(0, 256, (FRAMES, 32, 32, 3), dtype=torch.uint8).numpy()
    whole = replace(conditions, pose=to_pictures(pictures)[None])
    still = replace(conditions, pose=conditions.pose[:, :, :1])
    expected = ClipPredictor(unet, whole, options)(latents, TIMESTEPS)
    streamed = ClipPredictor(unet, StreamedConditions(still, pictures), options)
    assert streamed(latents, TIMESTEPS).equal(expected)


@torch.no_grad()
@pytest.mark.parametrize("done", range(1, 5))
def test_a_step_goes_on_from_any_window_to_the_same_bytes(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor, done: int
) -> None:
    unet, options = make_unet(), SamplingOptions(window=4, overlap=2)
    kept: list[Denoising] = []

    def keep(denoising: Denoising) -> None:
        assert denoising.fusion is not None
        fusion = Fusion(denoising.fusion.done, denoising.fusion.total.clone())
        kept.append(replace(denoising, fusion=fusion))

    predict = ClipPredictor(unet, conditions, options, Execution(on_windows=keep))
    predict(latents, TIMESTEPS)
    whole = predict(latents, TIMESTEPS)
    assert [(one.steps, one.fusion and one.fusion.done) for one in kept] == [
        *((0, window) for window in range(1, 5)),
        *((1, window) for window in range(1, 6)),
    ]
    begun = kept[3 + done]
    resumed = ClipPredictor(unet, conditions, options, Execution(begun=begun))
    assert resumed(begun.latents, TIMESTEPS).equal(whole)


class SmallMachine:
    """A forward pre-hook of a network on a machine with room for so many windows at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.seen: list[int] = []

    def __call__(self, network: Module, inputs: tuple[Tensor, ...]) -> None:
        self.seen.append(len(inputs[0]))
        if len(inputs[0]) > self.room:
            raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB")


@torch.no_grad()
def test_where_memory_runs_out_fewer_windows_are_seen_at_once_from_then_on(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor
) -> None:
    unet, options = make_unet(), SamplingOptions(window=4, overlap=2)
    machine, execution = SmallMachine(room=2), Execution(windows_at_once=4)
    plain = ClipPredictor(unet, conditions, options)(latents, TIMESTEPS)
    unet.register_forward_pre_hook(machine)
    predict = ClipPredictor(unet, conditions, options, execution)
    torch.testing.assert_close(predict(latents, TIMESTEPS), plain, rtol=0, atol=1e-5)
    predict(latents, TIMESTEPS)
    assert machine.seen == [4, 2, 2, 2, 2, 1]  # 4 windows, then 5 that stand elsewhere


@torch.no_grad()
def test_room_is_made_for_the_poses_too(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor
) -> None:
    unet, machine = make_unet(), SmallMachine(room=0)

    def make_room() -> bool:
        machine.room = 1
        return True

    unet.pose_stem.register_forward_pre_hook(machine)
    predict = ClipPredictor(unet, conditions, SamplingOptions(), Execution(make_room=make_room))
    assert predict(latents, TIMESTEPS).isfinite().all()
    assert machine.seen == [1, 1]


@torch.no_grad()
def test_where_one_window_is_too_much_room_is_made_and_then_the_user_is_told(
    make_unet: MakeUNet, conditions: Conditions, latents: Tensor
) -> None:
    unet, options = make_unet(), SamplingOptions(window=4, overlap=2)
    machine, asked = SmallMachine(room=0), []
    unet.register_forward_pre_hook(machine)

    def make_room() -> bool:
        asked.append(True)
        return len(asked) == 1

    execution = Execution(windows_at_once=2, make_room=make_room)
    with pytest.raises(OutOfMemoryError, match="one window of 4 frames") as caught:
        ClipPredictor(unet, conditions, options, execution)(latents, TIMESTEPS)
    assert machine.seen == [2, 1, 1]
    assert len(asked) == 2
    assert "--draft" in caught.value.hint and caught.value.exit_code == 4
