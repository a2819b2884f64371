from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.training.losses import distance, pseudo_huber, space_weight

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())


@pytest.mark.parametrize("constant", [1e-3, 0.5])
def test_pseudo_huber_is_quadratic_near_zero_and_linear_far_away(constant: float) -> None:
    small = constant * torch.tensor([1e-2, -1e-2], dtype=torch.float64)
    large = constant * torch.tensor([1e4, -1e4], dtype=torch.float64)
    assert torch.allclose(pseudo_huber(small, constant), small**2 / (2 * constant), rtol=1e-4)
    assert torch.allclose(pseudo_huber(large, constant), large.abs(), rtol=1e-3)


def test_the_norm_is_the_length_of_each_clips_difference() -> None:
    difference = torch.tensor([[3.0, 4.0], [0.0, 0.0]]).view(2, 2, 1, 1, 1)
    expected = (5 / 2**0.5 + 0) / 2
    assert float(distance(difference, "norm", 1e-3)) == pytest.approx(expected, abs=1e-6)


def test_the_norm_of_nothing_has_a_gradient() -> None:
    difference = torch.zeros(2, 1, 1, 1, 1, requires_grad=True)
    distance(difference, "norm", 1e-3).backward()
    assert torch.equal(difference.grad, torch.zeros_like(difference))


@pytest.mark.parametrize("kind", ["pseudo-huber", "squared"])
def test_a_weight_of_one_half_halves(kind: str) -> None:
    difference = torch.randn(2, 3, 2, 4, 4)
    half = torch.full((2, 1, 2, 4, 4), 0.5)
    whole = distance(difference, kind, 0.1)
    assert float(distance(difference, kind, 0.1, half)) == pytest.approx(float(whole) / 2)


@given(st.integers(1, 999), st.integers(0, 998))
def test_an_error_of_v_has_its_size_in_every_space(start: int, edge: int) -> None:
    edge = min(edge, start - 1)
    times = torch.tensor([start]), torch.tensor([edge])
    noisy = torch.zeros(1, 1, 1, 1, 1)
    error = torch.ones_like(noisy)
    landed = SCHEDULE.jump(noisy, error, *times)
    velocity = landed * space_weight("velocity", SCHEDULE, *times, noisy)
    latents = landed * space_weight("latents", SCHEDULE, *times, noisy)
    assert float(velocity.abs()) == pytest.approx(1.0, rel=2e-3)
    clean = SCHEDULE.predicted_latents(noisy, error, times[0])
    assert float(latents.abs()) == pytest.approx(float(clean.abs()), rel=2e-3)
    assert torch.equal(space_weight("edge", SCHEDULE, *times, noisy), error)
