from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import generator
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training.batches import clip_sample, collate
from dancelcm_cli.training.teacher import stratified_timesteps, teacher_losses

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())


class Oracle(nn.Module):
    """Knows the clean latents, so its v is exact."""

    def __init__(self, latents: Tensor) -> None:
        super().__init__()
        self.latents = latents

    def encode_conditions(self, conditions: Conditions, keep: Tensor) -> None: ...

    def forward(self, noisy_latents: Tensor, timesteps: Tensor, conditions: None) -> Tensor:
        alpha, sigma = SCHEDULE.coefficients(timesteps, noisy_latents)
        noise = (noisy_latents - alpha * self.latents) / sigma
        return alpha * noise - sigma * self.latents


def loss(unet: nn.Module, batch: ClipBatch, condition_dropout: float) -> float:
    stream = generator(0, "test")
    with torch.no_grad():
        losses = teacher_losses(
            unet,  # type: ignore[arg-type]
            batch,
            SCHEDULE,
            0.1,
            condition_dropout,
            stream,
        )
    return float(losses["loss"])


@pytest.fixture
def batches(shards: Path) -> list[ClipBatch]:
    """Two batches of the same latents under different conditions, with a face and without."""
    reader = ShardReader(shards)
    samples = [clip_sample(reader[i], range(4), 64, 64) for i in range(4)]
    latents = torch.cat([sample.latents for sample in samples[:2]])
    return [ClipBatch(latents, collate(samples[i : i + 2]).conditions) for i in (0, 2)]


@given(st.integers(1, 64), st.integers(0, 100))
def test_each_part_of_the_schedule_is_drawn_once(count: int, seed: int) -> None:
    timesteps = stratified_timesteps(count, 1000, generator(seed, "test"))
    assert timesteps.dtype == torch.int64
    assert timesteps.min() >= 0 and timesteps.max() <= 999
    for part, timestep in enumerate(timesteps.sort().values.tolist()):
        assert part * 1000 // count <= timestep <= (part + 1) * 1000 / count


def test_timesteps_come_in_no_order_and_reach_both_ends() -> None:
    drawn = torch.stack(
        [stratified_timesteps(4, 1000, generator(seed, "test")) for seed in range(500)]
    )
    first = drawn[:, 0].float()
    assert first.min() < 20 and first.max() > 980
    assert first.mean() == pytest.approx(500, abs=50)


def test_the_exact_velocity_has_no_loss(batches: list[ClipBatch]) -> None:
    latents = batches[0].latents
    assert loss(Oracle(latents), batches[0], 0.1) < 1e-8
    assert loss(Oracle(latents + 0.1), batches[0], 0.1) > 1e-3


def test_without_conditions_the_loss_does_not_depend_on_them(
    unet: DanceUNet, batches: list[ClipBatch]
) -> None:
    assert loss(unet, batches[0], 1.0) == loss(unet, batches[1], 1.0)
    assert abs(loss(unet, batches[0], 0.0) - loss(unet, batches[1], 0.0)) > 1e-6


def test_dropout_takes_the_stated_share_of_the_conditions(shards: Path) -> None:
    kept = []

    class Counter(Oracle):
        def encode_conditions(self, conditions: Conditions, keep: Tensor) -> None:
            kept.append(keep)

    latents = torch.zeros(4000, 1, 1, 1, 1)
    nothing = torch.zeros(4000, 0)
    loss(Counter(latents), ClipBatch(latents, Conditions(nothing, nothing, nothing)), 0.3)
    assert set(kept[0].tolist()) == {0.0, 1.0}
    assert float(kept[0].mean()) == pytest.approx(0.7, abs=0.03)
