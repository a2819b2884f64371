import itertools
import logging
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from diffusers import LCMScheduler, TCDScheduler
from torch import Tensor

from dancelcm_cli.config.schema import Sampler, ScheduleConfig, TeacherGrid
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.sampling import (
    SamplingStep,
    sample,
    student_steps,
    teacher_steps,
    warn_of_few_steps,
)
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, solver_grid
from dancelcm_cli.errors import ConfigError
from tests.core.gaussian import GRID_SIZE, deviations, perfect_student

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
GRID_SIZES = {1: 50, 2: 50, 4: 40}  # by the number of segments
every_sampler = pytest.mark.parametrize("sampler", get_args(Sampler))
every_plan = pytest.mark.parametrize(
    ("num_steps", "segments"), list(itertools.product(range(1, 9), GRID_SIZES))
)


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


@every_plan
def test_lcm_lands_on_the_clean_latents_and_ends_there(num_steps: int, segments: int) -> None:
    steps = student(num_steps, segments, GRID_SIZES[segments], "lcm")
    assert [step.landing for step in steps] == [None] * num_steps
    assert [step.end for step in steps] == [*starts(steps)[1:], None]


@pytest.mark.parametrize("segments", [2, 4])
def test_fewer_steps_than_segments_are_warned_of(
    segments: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="dancelcm_cli"):
        for teacher_or_enough in ((1, 0), (segments, segments), (8, segments)):
            warn_of_few_steps(*teacher_or_enough)
        assert not caplog.records
        warn_of_few_steps(segments - 1, segments)
    (record,) = caplog.records
    assert f"Use at least {segments} steps" in record.getMessage()


@pytest.mark.parametrize("num_steps", [0, -1, 41])
def test_a_student_takes_from_one_to_the_grids_number_of_steps(num_steps: int) -> None:
    with pytest.raises(ConfigError, match=f"from 1 to 40, got {num_steps}"):
        student(num_steps, 2, 40, "ddim")


@pytest.mark.parametrize("grid", get_args(TeacherGrid))
@pytest.mark.parametrize("num_steps", [-1, 0, 1001])
def test_a_teacher_takes_from_one_to_all_timesteps(num_steps: int, grid: TeacherGrid) -> None:
    with pytest.raises(ConfigError, match=f"from 1 to 1000, got {num_steps}"):
        teacher_steps(num_steps, NUM_TIMESTEPS, grid)


def test_a_teacher_walks_the_trailing_grid_of_diffusers() -> None:
    scheduler = make_scheduler(ScheduleConfig())
    for num_steps in (1, 2, 3, 4, 7, 8, 20, 25, 30, 40, 50, 999, 1000):
        scheduler.set_timesteps(num_steps)
        steps = teacher_steps(num_steps, NUM_TIMESTEPS)
        assert starts(steps) == scheduler.timesteps.tolist()
        assert [step.landing for step in steps] == [step.end for step in steps]


@pytest.mark.parametrize(
    ("num_steps", "expected"),
    [(1, [1]), (2, [501, 1]), (4, [751, 501, 251, 1]), (8, [876, 751, 626, 501, 376, 251, 126, 1])],
)
def test_upstreams_grid_starts_below_pure_noise(num_steps: int, expected: list[int]) -> None:
    steps = teacher_steps(num_steps, NUM_TIMESTEPS, "upstream")
    assert starts(steps) == expected
    assert [step.landing for step in steps] == [*expected[1:], 0]


def test_upstreams_default_of_30_steps_is_31() -> None:
    assert starts(teacher_steps(30, NUM_TIMESTEPS, "upstream")) == list(range(991, 0, -33))


@pytest.mark.parametrize("num_steps", [1, 3, 4, 7, 30, 50, 333, 600, 1000])
def test_upstreams_grid_is_that_of_its_code(num_steps: int) -> None:
    stride = NUM_TIMESTEPS // num_steps
    theirs = (1 + torch.arange(0, NUM_TIMESTEPS, stride)).clamp(0, NUM_TIMESTEPS - 1).flip(0)
    steps = teacher_steps(num_steps, NUM_TIMESTEPS, "upstream")
    assert starts(steps) == theirs.tolist()
    assert [step.end for step in steps] == (theirs - stride).clamp(0).tolist()
    assert all(step.landing == step.end for step in steps)


# --- the loop ---


def diffusers_ddim(num_steps: int) -> tuple[list[int], Tensor]:
    """Return the timesteps that diffusers' DDIM visits, and where it arrives."""
    scheduler = make_scheduler(ScheduleConfig())
    scheduler.set_timesteps(num_steps)
    latents = INITIAL
    for timestep in scheduler.timesteps:
        velocity = network(latents, timestep.expand(len(latents)))
        latents = scheduler.step(velocity, timestep, latents).prev_sample
    return scheduler.timesteps.tolist(), latents


def diffusers_tcd(steps: list[SamplingStep], grid_size: int, stream: torch.Generator) -> Tensor:
    """Return where TCDScheduler arrives with an eta for each of `steps`; an eta of 0 is DDIM."""
    scheduler = TCDScheduler(**SCHEDULE, original_inference_steps=grid_size)
    scheduler.set_timesteps(timesteps=starts(steps))
    latents = INITIAL
    for step in steps:
        assert step.landing is not None and step.end is not None
        # TCD lands at floor((1 - eta) * end); the half keeps rounding from missing the landing.
        eta = 0.0 if step.end == step.landing else 1 - (step.landing + 0.5) / step.end
        velocity = network(latents, torch.full((len(latents),), step.start))
        latents = scheduler.step(velocity, step.start, latents, eta, generator=stream).prev_sample
    return latents


def same(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two walks of up to 8 steps arrive at the same latents, but for rounding."""
    return torch.allclose(ours, theirs, rtol=0, atol=3e-5)


@pytest.mark.parametrize("num_steps", [1, 4, 50])
def test_a_teachers_loop_is_that_of_diffusers_ddim(schedule: NoiseSchedule, num_steps: int) -> None:
    steps = teacher_steps(num_steps, NUM_TIMESTEPS)
    timesteps, theirs = diffusers_ddim(num_steps)
    ours = sample(network, INITIAL, steps, schedule, no_noise)
    assert starts(steps) == timesteps
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("segments", GRID_SIZES)
@pytest.mark.parametrize("num_steps", [1, 2, 4, 5, 8])
def test_ddim_of_a_student_is_diffusers_ddim_where_the_steps_are_even(
    schedule: NoiseSchedule, num_steps: int, segments: int
) -> None:
    """Theirs takes equal steps only, so plans that favour the noisy segments are left to TCD."""
    steps = student(num_steps, segments, 40, "ddim")
    timesteps, theirs = diffusers_ddim(num_steps)
    if starts(steps) != timesteps:
        assert num_steps == 5 and segments > 1
        return
    assert same(sample(network, INITIAL, steps, schedule, no_noise), theirs)


@every_plan
@pytest.mark.parametrize("sampler", ["ddim", "edge_renoise"])
def test_a_step_is_that_of_diffusers_tcd_with_an_eta_of_its_own(
    schedule: NoiseSchedule, num_steps: int, segments: int, sampler: Sampler
) -> None:
    steps = student(num_steps, segments, GRID_SIZES[segments], sampler)
    theirs = diffusers_tcd(steps, GRID_SIZES[segments], torch.Generator().manual_seed(7))
    assert same(sample(network, INITIAL, steps, schedule, draws(7)), theirs)


@every_plan
def test_lcm_is_diffusers_lcm(schedule: NoiseSchedule, num_steps: int, segments: int) -> None:
    steps = student(num_steps, segments, GRID_SIZES[segments], "lcm")
    scheduler = LCMScheduler(**SCHEDULE, original_inference_steps=GRID_SIZES[segments])
    scheduler.set_timesteps(timesteps=starts(steps))
    theirs, stream = INITIAL, torch.Generator().manual_seed(7)
    for timestep in scheduler.timesteps:
        velocity = network(theirs, timestep.expand(len(theirs)))
        theirs = scheduler.step(velocity, timestep, theirs, generator=stream).prev_sample
    assert same(sample(network, INITIAL, steps, schedule, draws(7)), theirs)


@pytest.mark.parametrize("num_steps", [1, 2, 5, 8])
def test_edge_renoise_of_one_segment_is_lcm_where_timestep_zero_holds_no_noise(
    schedule: NoiseSchedule, num_steps: int
) -> None:
    alphas, sigmas = schedule.alphas.clone(), schedule.sigmas.clone()
    alphas[0], sigmas[0] = 1.0, 0.0
    spotless = NoiseSchedule(alphas, sigmas)
    samplers: tuple[Sampler, ...] = ("edge_renoise", "lcm")
    one, other = (
        sample(network, INITIAL, student(num_steps, 1, 50, sampler), spotless, draws(7))
        for sampler in samplers
    )
    assert same(one, other)


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

    def tell(index: int, latents: Tensor) -> None:
        done.append(index)

    latents = sample(predict, INITIAL.bfloat16(), steps, schedule, draws(0), tell)
    assert latents.dtype == torch.float32
    assert seen == [[start, start] for start in starts(steps)]
    assert done == list(range(8))


def test_what_a_step_landed_on_may_be_replaced(schedule: NoiseSchedule) -> None:
    steps = student(4, 2, 40, "edge_renoise")
    seen: list[Tensor] = []

    def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
        seen.append(latents)
        return network(latents, timesteps)

    sample(predict, INITIAL, steps, schedule, draws(0), lambda index, latents: 0 * latents)
    assert seen[0].equal(INITIAL) and not any(latents.any() for latents in seen[1:])


@pytest.mark.parametrize("first", range(5))
def test_going_on_from_a_landing_equals_never_having_stopped(
    schedule: NoiseSchedule, first: int
) -> None:
    steps, landings = student(4, 2, 40, "edge_renoise"), [INITIAL]

    def noise(index: int) -> Tensor:
        return torch.randn(INITIAL.shape, generator=torch.Generator().manual_seed(index))

    def keep(index: int, latents: Tensor) -> None:
        landings.append(latents)

    whole = sample(network, INITIAL, steps, schedule, noise, keep)
    rest = sample(network, landings[first], steps, schedule, noise, first=first)
    assert rest.equal(whole)


# --- a perfect student of Gaussian data ---

# Spread of the samples over that of the data, for data of the given variance.
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


def spread(
    schedule: NoiseSchedule,
    data_variance: float,
    segments: int,
    num_steps: int,
    sampler: Sampler,
) -> float:
    """Return the exact spread of the samples over that of the data at timestep 0.

    The whole chain is linear in its `num_steps + 1` noises, so feeding it the unit vectors yields
    its coefficients, and their norm is the standard deviation.
    """
    units = torch.eye(num_steps + 1)
    coefficients = sample(
        perfect_student(schedule, data_variance, segments),
        units[:1],
        student(num_steps, segments, GRID_SIZE, sampler),
        schedule,
        lambda index: units[index + 1][None],
    )
    return float(coefficients.norm() / deviations(schedule, data_variance)[0])


@pytest.mark.parametrize(("data_variance", "segments", "sampler"), SPREAD)
def test_samples_of_a_perfect_student_spread_as_in_the_closed_form(
    schedule: NoiseSchedule, data_variance: float, segments: int, sampler: Sampler
) -> None:
    for num_steps, expected in SPREAD[data_variance, segments, sampler].items():
        found = spread(schedule, data_variance, segments, num_steps, sampler)
        assert found == pytest.approx(expected, abs=5e-3), f"{num_steps} steps"


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
