from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import sample_streams
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training.batches import clip_sample, collate
from dancelcm_cli.training.network import TrainedNetwork
from dancelcm_cli.training.teacher import even_timesteps, teacher_losses

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())


class Oracle(nn.Module):
    """Knows the clean latents, so its v is exact."""

    def __init__(self, latents: Tensor) -> None:
        super().__init__()
        self.latents = latents

    def forward(
        self, noisy_latents: Tensor, timesteps: Tensor, conditions: Conditions, keep: Tensor
    ) -> tuple[Tensor, None]:
        alpha, sigma = SCHEDULE.coefficients(timesteps, noisy_latents)
        noise = (noisy_latents - alpha * self.latents) / sigma
        return alpha * noise - sigma * self.latents, None


def loss(network: nn.Module, batch: ClipBatch, condition_dropout: float) -> float:
    numbered = replace(batch, numbers=tuple(range(len(batch.latents))))
    streams = sample_streams(0, "test", numbered.numbers)
    with torch.no_grad():
        losses = teacher_losses(network, numbered, SCHEDULE, 0.1, condition_dropout, streams)
    return float(losses["loss"])


@pytest.fixture
def batches(shards: Path) -> list[ClipBatch]:
    """Two batches of the same latents under different conditions, with a face and without."""
    reader = ShardReader(shards)
    samples = [clip_sample(reader[i], range(4), 64, 64) for i in range(4)]
    latents = torch.cat([sample.latents for sample in samples[:2]])
    return [ClipBatch(latents, collate(samples[i : i + 2]).conditions) for i in (0, 2)]


@given(st.integers(1, 200), st.integers(0, 10**6))
def test_any_neighbours_cover_the_schedule_evenly(count: int, first: int) -> None:
    timesteps = even_timesteps(range(first, first + count), 1000)
    assert timesteps.dtype == torch.int64
    ends = torch.tensor([-1, 1000])
    gaps = torch.cat([timesteps, ends]).sort().values.diff()
    assert gaps.min() >= 0 and gaps.max() <= 2.7 * 1000 / count + 1


def test_every_timestep_comes_as_often_as_any_other() -> None:
    drawn = even_timesteps(range(100_000), 1000)
    often = torch.bincount(drawn, minlength=1000)
    assert often.min() >= 97 and often.max() <= 103


def test_the_exact_velocity_has_no_loss(batches: list[ClipBatch]) -> None:
    latents = batches[0].latents
    assert loss(Oracle(latents), batches[0], 0.1) < 1e-8
    assert loss(Oracle(latents + 0.1), batches[0], 0.1) > 1e-3


def test_without_conditions_the_loss_does_not_depend_on_them(
    unet: DanceUNet, batches: list[ClipBatch]
) -> None:
    network = TrainedNetwork(unet)
    assert loss(network, batches[0], 1.0) == loss(network, batches[1], 1.0)
    assert abs(loss(network, batches[0], 0.0) - loss(network, batches[1], 0.0)) > 1e-6


def test_dropout_takes_the_stated_share_of_the_conditions(shards: Path) -> None:
    kept = []

    class Counter(Oracle):
        def forward(
            self, noisy_latents: Tensor, timesteps: Tensor, conditions: Conditions, keep: Tensor
        ) -> tuple[Tensor, None]:
            kept.append(keep)
            return super().forward(noisy_latents, timesteps, conditions, keep)

    latents = torch.zeros(4000, 1, 1, 1, 1)
    nothing = torch.zeros(4000, 0)
    loss(Counter(latents), ClipBatch(latents, Conditions(nothing, nothing, nothing)), 0.3)
    assert set(kept[0].tolist()) == {0.0, 1.0}
    assert float(kept[0].mean()) == pytest.approx(0.7, abs=0.03)
