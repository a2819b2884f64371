import logging
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from diffusers import LCMScheduler, TCDScheduler
from torch import Tensor

from dancelcm_cli.config.schema import Sampler, ScheduleConfig
from dancelcm_cli.core.pipeline import make_scheduler
from dancelcm_cli.core.sampling import SamplingStep, sample, student_steps, teacher_steps
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, solver_grid
from dancelcm_cli.errors import ConfigError

NUM_TIMESTEPS = 1000
SHAPE = (2, 4, 3, 2, 2)
SCHEDULE = {
    "beta_start": ScheduleConfig().beta_start,
    "beta_end": ScheduleConfig().beta_end,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "clip_sample": False,
}
every_sampler = pytest.mark.parametrize("sampler", get_args(Sampler))
Predict = Callable[[Tensor, Tensor], Tensor]


def student(num_steps: int, segments: int, grid_size: int, sampler: Sampler) -> list[SamplingStep]:
    return student_steps(num_steps, segments, grid_size, NUM_TIMESTEPS, sampler)


def starts(steps: list[SamplingStep]) -> list[int]:
    return [step.start for step in steps]


def network(latents: Tensor, timesteps: Tensor) -> Tensor:
    """Stands for a network: some smooth function of latents and timestep."""
    return torch.sin(2 * latents + timesteps.view(-1, 1, 1, 1, 1) / 300)


def draws(seed: int) -> Callable[[int], Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return lambda index: torch.randn(SHAPE, generator=stream)


def spotless(schedule: NoiseSchedule) -> NoiseSchedule:
    """Return the schedule with timestep 0 free of noise."""
    alphas, sigmas = schedule.alphas.clone(), schedule.sigmas.clone()
    alphas[0], sigmas[0] = 1.0, 0.0
    return NoiseSchedule(alphas, sigmas)


def no_noise(index: int) -> Tensor:
    raise AssertionError(f"step {index} asked for noise")


INITIAL = draws(1)(0)

# --- plans ---


@pytest.mark.parametrize("segments", [1, 2])
@pytest.mark.parametrize(
    ("num_steps", "expected"),
    [(4, [999, 759, 499, 259]), (8, [999, 879, 759, 639, 499, 379, 259, 139])],
)
def test_a_student_of_the_50_grid_starts_where_diffusers_lcm_does(
    num_steps: int, expected: list[int], segments: int
) -> None:
    scheduler = LCMScheduler(original_inference_steps=50)
    scheduler.set_timesteps(num_steps)
    assert scheduler.timesteps.tolist() == expected
    assert starts(student(num_steps, segments, 50, "edge_renoise")) == expected


@pytest.mark.parametrize(
    ("num_steps", "expected"),
    [
        (1, [999]),
        (2, [999, 499]),
        (4, [999, 749, 499, 249]),
        (8, [999, 874, 749, 624, 499, 374, 249, 124]),
    ],
)
def test_a_student_of_four_segments_starts_at_edges_and_between_them(
    num_steps: int, expected: list[int]
) -> None:
    assert starts(student(num_steps, 4, 40, "edge_renoise")) == expected


@pytest.mark.parametrize(("segments", "grid_size"), [(1, 50), (2, 50), (4, 40), (8, 40)])
def test_every_plan_falls_from_pure_noise_to_zero_over_trained_timesteps(
    segments: int, grid_size: int
) -> None:
    grid = solver_grid(grid_size, NUM_TIMESTEPS).tolist()
    edges = segment_edges(segments, grid_size, NUM_TIMESTEPS)
    for num_steps in range(1, grid_size + 1):
        steps = student(num_steps, segments, grid_size, "edge_renoise")
        assert len(steps) == num_steps
        assert steps[0].start == NUM_TIMESTEPS - 1
        assert steps[-1].end == steps[-1].landing == 0
        assert [step.end for step in steps[:-1]] == starts(steps)[1:]
        assert all(step.start in grid and step.end < step.start for step in steps)
        if num_steps >= segments:
            assert set(edges[1:].tolist()) <= set(starts(steps))


def test_steps_that_do_not_divide_go_to_the_noisiest_segments() -> None:
    assert starts(student(3, 2, 50, "edge_renoise")) == [999, 759, 499]
    assert starts(student(6, 4, 40, "edge_renoise")) == [999, 874, 749, 624, 499, 249]


@pytest.mark.parametrize(("num_steps", "segments"), [(4, 2), (8, 2), (5, 4), (8, 4)])
def test_edge_renoise_lands_on_the_edge_it_was_trained_for(num_steps: int, segments: int) -> None:
    edges = segment_edges(segments, 40, NUM_TIMESTEPS)
    for step in student(num_steps, segments, 40, "edge_renoise"):
        assert step.landing == int(lower_edge(edges, torch.tensor([step.start])))


@every_sampler
@pytest.mark.parametrize("segments", [2, 4])
def test_fewer_steps_than_segments_are_planned_with_a_warning(
    segments: int, sampler: Sampler, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="dancelcm_cli"):
        student(segments, segments, 40, sampler)
        assert not caplog.records
        student(segments - 1, segments, 40, sampler)
    (record,) = caplog.records
    assert f"Use at least {segments} steps" in record.getMessage()


@pytest.mark.parametrize("num_steps", [0, -1, 41])
def test_a_student_takes_from_one_to_the_grids_number_of_steps(num_steps: int) -> None:
    with pytest.raises(ConfigError, match=f"from 1 to 40, got {num_steps}"):
        student(num_steps, 2, 40, "ddim")


@pytest.mark.parametrize("num_steps", [0, 1001])
def test_a_teacher_takes_from_one_to_all_timesteps(num_steps: int) -> None:
    with pytest.raises(ConfigError, match=f"from 1 to 1000, got {num_steps}"):
        teacher_steps(num_steps, NUM_TIMESTEPS)


def test_a_teacher_walks_the_trailing_grid_of_diffusers() -> None:
    scheduler = make_scheduler(ScheduleConfig())
    for num_steps in (1, 2, 3, 4, 7, 8, 20, 25, 30, 40, 50, 999, 1000):
        scheduler.set_timesteps(num_steps)
        steps = teacher_steps(num_steps, NUM_TIMESTEPS)
        assert starts(steps) == scheduler.timesteps.tolist()
        assert [step.landing for step in steps] == [step.end for step in steps]


# --- the loop ---


@pytest.mark.parametrize("num_steps", [1, 4, 50])
def test_a_teachers_loop_is_that_of_diffusers_ddim(schedule: NoiseSchedule, num_steps: int) -> None:
    scheduler = make_scheduler(ScheduleConfig())
    scheduler.set_timesteps(num_steps)
    theirs = INITIAL
    for timestep in scheduler.timesteps:
        velocity = network(theirs, timestep.expand(len(theirs)))
        theirs = scheduler.step(velocity, timestep, theirs).prev_sample
    steps = teacher_steps(num_steps, NUM_TIMESTEPS)
    ours = sample(network, INITIAL, steps, schedule, no_noise)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("segments", [1, 2, 4])
@pytest.mark.parametrize("num_steps", [1, 2, 4, 8])
def test_edge_renoise_is_diffusers_tcd_with_an_eta_for_each_step(
    schedule: NoiseSchedule, num_steps: int, segments: int
) -> None:
    steps = student(num_steps, segments, 40, "edge_renoise")
    scheduler = TCDScheduler(**SCHEDULE, original_inference_steps=40)
    scheduler.set_timesteps(timesteps=starts(steps))
    theirs, stream = INITIAL, torch.Generator().manual_seed(7)
    for step in steps:
        # TCD lands at floor((1 - eta) * end); the half keeps rounding from missing the landing.
        eta = 0.0 if step.end == step.landing else 1 - (step.landing + 0.5) / step.end
        velocity = network(theirs, torch.full((len(theirs),), step.start))
        theirs = scheduler.step(velocity, step.start, theirs, eta, generator=stream).prev_sample
    ours = sample(network, INITIAL, steps, schedule, draws(7))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=3e-5)


@pytest.mark.parametrize("num_steps", [1, 2, 4, 8])
def test_lcm_is_diffusers_lcm_where_timestep_zero_holds_no_noise(
    schedule: NoiseSchedule, num_steps: int
) -> None:
    """Theirs takes the predicted latents for what lies at timestep 0; ours has alpha_0 there."""
    scheduler = LCMScheduler(**SCHEDULE, original_inference_steps=50)
    scheduler.set_timesteps(num_steps)
    theirs, stream = INITIAL, torch.Generator().manual_seed(7)
    for timestep in scheduler.timesteps:
        velocity = network(theirs, timestep.expand(len(theirs)))
        theirs = scheduler.step(velocity, timestep, theirs, generator=stream).prev_sample
    ours = sample(network, INITIAL, student(num_steps, 1, 50, "lcm"), spotless(schedule), draws(7))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=3e-5)


@pytest.mark.parametrize("num_steps", [1, 2, 5, 8])
def test_edge_renoise_of_one_segment_is_lcm(num_steps: int) -> None:
    assert student(num_steps, 1, 50, "edge_renoise") == student(num_steps, 1, 50, "lcm")


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_one_step_per_segment_is_a_chain_without_fresh_noise(
    schedule: NoiseSchedule, segments: int
) -> None:
    steps = student(segments, segments, 40, "edge_renoise")
    assert steps == student(segments, segments, 40, "ddim")
    once, again = (sample(network, INITIAL, steps, schedule, no_noise) for _ in range(2))
    assert once.equal(again)


def test_the_loop_calls_the_network_once_a_step_and_reports_each(schedule: NoiseSchedule) -> None:
    steps = student(8, 2, 40, "edge_renoise")
    seen: list[list[int]] = []
    done: list[int] = []

    def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
        assert timesteps.dtype == torch.int64
        assert latents.dtype == torch.float32
        seen.append(timesteps.tolist())
        return network(latents, timesteps).bfloat16()

    latents = sample(predict, INITIAL.bfloat16(), steps, schedule, draws(0), done.append)
    assert latents.dtype == torch.float32
    assert seen == [[start, start] for start in starts(steps)]
    assert done == list(range(8))


# --- a perfect student of Gaussian data ---

# Spread of the samples over that of the data, for data of the given variance (n = 40).
SPREAD: dict[tuple[float, int, Sampler], dict[int, float]] = {
    (1.0, 1, "ddim"): {1: 1.00, 2: 1.35, 4: 1.60, 8: 1.76},
    (1.0, 1, "edge_renoise"): {1: 1.00, 2: 1.00, 4: 1.00, 8: 1.00},
    (1.0, 2, "ddim"): {1: 0.29, 2: 1.00, 4: 1.18, 8: 1.29},
    (1.0, 2, "edge_renoise"): {1: 0.29, 2: 1.00, 4: 1.00, 8: 1.00},
    (1.0, 2, "lcm"): {1: 0.26, 2: 0.87, 4: 0.91, 8: 0.95},
    (1.0, 4, "ddim"): {1: 0.12, 2: 0.64, 4: 1.00, 8: 1.09},
    (1.0, 4, "edge_renoise"): {1: 0.12, 2: 0.64, 4: 1.00, 8: 1.00},
    (0.05, 1, "ddim"): {1: 1.00, 2: 1.10, 4: 1.24, 8: 1.38},
    (0.05, 1, "edge_renoise"): {1: 1.00, 2: 1.00, 4: 1.00, 8: 1.00},
    (0.05, 2, "ddim"): {1: 0.19, 2: 1.00, 4: 1.12, 8: 1.25},
    (0.05, 2, "edge_renoise"): {1: 0.19, 2: 1.00, 4: 1.00, 8: 1.00},
    (0.05, 2, "lcm"): {1: 0.06, 2: 0.88, 4: 0.89, 8: 0.90},
    (0.05, 4, "ddim"): {1: 0.15, 2: 0.33, 4: 1.00, 8: 1.11},
    (0.05, 4, "edge_renoise"): {1: 0.15, 2: 0.33, 4: 1.00, 8: 1.00},
}


def perfect_student(schedule: NoiseSchedule, data_variance: float, segments: int) -> Predict:
    """Return the v whose jump to the lower edge is the exact flow of Gaussian data.

    That flow scales latents by the ratio of the standard deviations at both timesteps.
    """
    edges = segment_edges(segments, 40, NUM_TIMESTEPS)
    alphas, sigmas = schedule.alphas.double(), schedule.sigmas.double()
    angles = torch.atan2(sigmas, alphas)
    deviations = (data_variance * alphas**2 + sigmas**2).sqrt()

    def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
        edge = lower_edge(edges, timesteps)
        delta = angles[timesteps] - angles[edge]
        slope = (delta.cos() - deviations[edge] / deviations[timesteps]) / delta.sin()
        return slope.float()[:, None] * latents

    return predict


def spread(
    schedule: NoiseSchedule,
    data_variance: float,
    segments: int,
    num_steps: int,
    sampler: Sampler,
    walked: NoiseSchedule | None = None,
) -> float:
    """Return the exact spread of the samples over that of the data at timestep 0.

    The whole chain is linear in its `num_steps + 1` noises, so feeding it the unit vectors yields
    its coefficients, and their norm is the standard deviation. `walked` is the sampler's schedule
    where it is not the student's.
    """
    units = torch.eye(num_steps + 1)
    coefficients = sample(
        perfect_student(schedule, data_variance, segments),
        units[:1],
        student(num_steps, segments, 40, sampler),
        walked or schedule,
        lambda index: units[index + 1][None],
    )
    expected = (data_variance * schedule.alphas[0] ** 2 + schedule.sigmas[0] ** 2).sqrt()
    return float(coefficients.norm() / expected)


@pytest.mark.parametrize(("data_variance", "segments", "sampler"), SPREAD)
def test_samples_of_a_perfect_student_spread_as_in_the_closed_form(
    schedule: NoiseSchedule, data_variance: float, segments: int, sampler: Sampler
) -> None:
    # The closed form of "lcm" is that of the original, which lands on the predicted latents.
    walked = spotless(schedule) if sampler == "lcm" else schedule
    for num_steps, expected in SPREAD[data_variance, segments, sampler].items():
        found = spread(schedule, data_variance, segments, num_steps, sampler, walked)
        assert found == pytest.approx(expected, abs=6e-3), f"{num_steps} steps"


@pytest.mark.parametrize("segments", [1, 2, 4, 8])
@pytest.mark.parametrize("data_variance", [1.0, 0.25, 0.05])
def test_edge_renoise_is_exact_from_one_step_per_segment_on(
    schedule: NoiseSchedule, data_variance: float, segments: int
) -> None:
    for num_steps in range(segments, 17):
        found = spread(schedule, data_variance, segments, num_steps, "edge_renoise")
        assert found == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("num_steps", [2, 4, 8])
def test_lcm_flattens_what_a_student_of_two_segments_makes(
    schedule: NoiseSchedule, num_steps: int
) -> None:
    assert spread(schedule, 1.0, 2, num_steps, "lcm") < 0.98
