"""Solvers on Gaussian data, whose flow has a closed form."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import solver_grid
from dancelcm_cli.core.solver import Velocity, solve

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
TIMESTEPS = st.integers(0, 999)


def exact_velocity(variance: float) -> Velocity:
    """Return the v of data N(0, variance)."""

    def velocity(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        alpha, sigma = SCHEDULE.coefficients(timesteps, noisy_latents)
        distance = noisy_latents / (alpha**2 * variance + sigma**2)
        return alpha * sigma * distance - sigma * alpha * variance * distance

    return velocity


def spread(timestep: int, variance: float) -> float:
    alpha, sigma = float(SCHEDULE.alphas[timestep]), float(SCHEDULE.sigmas[timestep])
    return math.sqrt(alpha**2 * variance + sigma**2)


def arrival(start: int, end: int, variance: float, solver: str, substeps: int = 1) -> float:
    """Return where 1 arrives, relative to the exact flow."""
    times = torch.tensor([start]), torch.tensor([end])
    one = torch.ones(1, 1)
    arrived = solve(exact_velocity(variance), one, *times, SCHEDULE, solver, substeps)
    return float(arrived) * spread(start, variance) / spread(end, variance)


@pytest.mark.parametrize(
    ("solver", "substeps", "variance", "ratio"),
    [
        ("ddim", 1, 1.0, 0.9705),
        ("ddim", 1, 0.25, 0.9483),
        ("ddim", 1, 0.05, 0.8780),
        ("ddim", 2, 1.0, 0.9850),
        ("ddim", 2, 0.05, 0.9338),
        ("heun", 1, 1.0, 1.0000),
        ("heun", 1, 0.25, 1.0013),
        ("heun", 1, 0.05, 1.0139),
    ],
)
def test_fifty_steps_keep_a_known_share_of_the_spread(
    solver: str, substeps: int, variance: float, ratio: float
) -> None:
    stops = [*solver_grid(50, 1000).flip(0).tolist(), 0]
    kept = math.prod(
        arrival(start, end, variance, solver, substeps) for start, end in pairwise(stops)
    )
    assert kept == pytest.approx(ratio, abs=6e-4)


@given(TIMESTEPS, TIMESTEPS, st.sampled_from(["ddim", "heun"]))
def test_a_step_to_where_one_is_changes_nothing(start: int, other: int, solver: str) -> None:
    here = torch.tensor([start])
    latents = torch.tensor([[0.3, -2.0]])
    assert torch.allclose(
        solve(exact_velocity(0.3), latents, here, here, SCHEDULE, solver), latents, atol=1e-6
    )


@pytest.mark.parametrize(("solver", "order"), [("ddim", 1), ("heun", 2)])
def test_errors_shrink_with_the_order_of_the_solver(solver: str, order: int) -> None:
    errors = [abs(arrival(799, 199, 0.5, solver, substeps) - 1) for substeps in (10, 20)]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.15)


def test_each_clip_of_a_batch_goes_its_own_way() -> None:
    starts, ends = torch.tensor([999, 499, 19]), torch.tensor([979, 0, 19])
    latents = torch.randn(3, 2)
    velocity = exact_velocity(0.25)
    together = solve(velocity, latents, starts, ends, SCHEDULE, "heun", 3)
    for i in range(3):
        alone = solve(
            velocity, latents[i : i + 1], starts[i : i + 1], ends[i : i + 1], SCHEDULE, "heun", 3
        )
        assert torch.allclose(together[i], alone[0], atol=1e-6)


@pytest.mark.parametrize(("solver", "calls"), [("ddim", 3), ("heun", 6)])
def test_the_teacher_is_asked_once_or_twice_a_step(solver: str, calls: int) -> None:
    seen: list[int] = []

    def counting(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        seen.append(int(timesteps))
        return noisy_latents

    start, end = torch.tensor([499]), torch.tensor([199])
    solve(counting, torch.ones(1, 1), start, end, SCHEDULE, solver, 3)
    assert len(seen) == calls and seen[0] == 499
    assert set(seen) == ({499, 399, 299} if solver == "ddim" else {499, 399, 299, 199})
