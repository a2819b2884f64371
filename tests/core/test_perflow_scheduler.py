from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler, follow_windows, window_factors
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, upper_edge
from dancelcm_cli.errors import ConfigError
from tests.core.gaussian import deviations

SHAPE = (2, 4, 3, 2, 2)
INITIAL = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
VARIANCE = 0.25
FOUR_WINDOWS = [(249, 0), (499, 249), (749, 499), (999, 749)]
every_windows = pytest.mark.parametrize("windows", [1, 2, 4])


def full(timestep: int) -> Tensor:
    return torch.full((SHAPE[0],), timestep)


def velocity_of(schedule: NoiseSchedule, latents: Tensor, clean: Tensor, timestep: int) -> Tensor:
    """Return the v that says `clean`."""
    alpha, sigma = schedule.coefficients(full(timestep), latents)
    return (alpha * latents - clean) / sigma


def straight_student(schedule: NoiseSchedule, windows: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the student of Gaussian data around 0: its lines end where the exact flow does.

    Every point of a line is a multiple of its start, so the start can be told from the point.
    """
    edges = segment_edges(windows, 40, 1000)
    spread = deviations(schedule, VARIANCE)

    def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
        timestep = timesteps[:1]
        noisy, clean = upper_edge(edges, timestep), lower_edge(edges, timestep)
        factor = float(spread[clean] / spread[noisy])
        share = float((noisy - timestep) / (noisy - clean))
        start = latents / (1 - share + share * factor)
        kept, gained = window_factors(schedule, noisy, clean, latents)
        estimate = (factor - kept) * start / gained
        return velocity_of(schedule, latents, estimate, int(timestep))

    return predict


@pytest.mark.parametrize(
    ("window", "kept", "gained"),
    [
        (FOUR_WINDOWS[0], 0.050, 0.959),
        (FOUR_WINDOWS[1], 0.676, 0.476),
        (FOUR_WINDOWS[2], 0.885, 0.331),
        (FOUR_WINDOWS[3], 0.983, 0.182),
    ],
)
def test_the_factors_of_every_window_are_finite(
    schedule: NoiseSchedule, window: tuple[int, int], kept: float, gained: float
) -> None:
    noisy, clean = (torch.tensor([timestep]) for timestep in window)
    factors = window_factors(schedule, noisy, clean, torch.zeros(1))
    assert [float(factor) for factor in factors] == pytest.approx([kept, gained], abs=5e-4)


@pytest.mark.parametrize("window", FOUR_WINDOWS)
def test_a_whole_window_in_one_step_is_ddim(
    schedule: NoiseSchedule, window: tuple[int, int]
) -> None:
    noisy, clean = map(full, window)
    velocity = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    scheduler = PeRFlowScheduler()
    ours = scheduler.step(velocity, window[0], INITIAL).prev_sample
    expected = schedule.jump(INITIAL, velocity, noisy, clean)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", FOUR_WINDOWS)
def test_the_end_of_a_window_is_found_from_every_point_of_its_line(
    schedule: NoiseSchedule, window: tuple[int, int]
) -> None:
    noisy, clean = map(full, window)
    estimate = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    kept, gained = window_factors(schedule, noisy, clean, INITIAL)
    end = kept * INITIAL + gained * estimate
    scheduler = PeRFlowScheduler()
    for timestep in range(window[1] + 25, window[0] + 1, 25):
        share = (window[0] - timestep) / (window[0] - window[1])
        between = INITIAL + share * (end - INITIAL)
        velocity = velocity_of(schedule, between, estimate, timestep)
        found = scheduler.step(velocity, timestep, between).prev_sample
        torch.testing.assert_close(found, end, rtol=0, atol=2e-5)


@every_windows
def test_every_plan_visits_the_end_of_each_window_over_trained_timesteps(windows: int) -> None:
    scheduler = PeRFlowScheduler(num_windows=windows)
    for num_steps in range(windows, 41):
        scheduler.set_timesteps(num_steps)
        timesteps = scheduler.timesteps.tolist()
        assert len(timesteps) == num_steps
        assert timesteps == sorted(set(timesteps), reverse=True)
        assert set(timesteps) >= set(segment_edges(windows, 40, 1000)[1:].tolist())
        assert all((timestep + 1) % 25 == 0 for timestep in timesteps)


@every_windows
@pytest.mark.parametrize("num_steps", [4, 5, 8, 40])
def test_a_perfect_student_arrives_at_the_same_place_in_any_number_of_steps(
    schedule: NoiseSchedule, windows: int, num_steps: int
) -> None:
    scheduler, done = PeRFlowScheduler(num_windows=windows), []
    student = straight_student(schedule, windows)
    latents = follow_windows(
        scheduler, student, INITIAL, num_steps, lambda index, latents: done.append(index)
    )
    exact = float(deviations(schedule, VARIANCE)[0]) * INITIAL
    torch.testing.assert_close(latents, exact, rtol=0, atol=3e-5)
    assert done == list(range(num_steps))


@pytest.mark.parametrize("num_steps", [0, 3, 41])
def test_each_window_takes_a_step(num_steps: int) -> None:
    with pytest.raises(ConfigError, match=rf"from 4 .* to 40, got {num_steps}") as refusal:
        PeRFlowScheduler().set_timesteps(num_steps)
    assert "--steps 4" in refusal.value.hint


def test_half_precision_is_stepped_in_full(schedule: NoiseSchedule) -> None:
    latents = INITIAL.bfloat16()
    scheduler = PeRFlowScheduler()
    stepped = scheduler.step(latents, 999, latents).prev_sample
    assert stepped.dtype == torch.float32
    assert stepped.equal(scheduler.step(latents.float(), 999, latents.float()).prev_sample)


def test_a_saved_scheduler_is_loaded_as_it_was(tmp_path: Path) -> None:
    config = ScheduleConfig(beta_end=0.02)
    saved = PeRFlowScheduler(1000, config.beta_start, config.beta_end, num_windows=2, grid_size=50)
    saved.save_pretrained(tmp_path)
    loaded = PeRFlowScheduler.from_pretrained(tmp_path)
    assert loaded.schedule.alphas.equal(NoiseSchedule.from_config(config).alphas)
    loaded.set_timesteps(4)
    assert loaded.timesteps.tolist() == [999, 759, 499, 259]
