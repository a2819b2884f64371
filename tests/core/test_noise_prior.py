"""On Gaussian data a perfect student shows what a prior leaves in its results, in closed form."""

import pytest
import torch
from torch import Tensor

from dancelcm_cli.core.noise_prior import choose_timestep, noised_reference
from dancelcm_cli.core.sampling import sample, student_steps, teacher_steps
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import solver_grid
from dancelcm_cli.errors import ConfigError
from tests.core.gaussian import GRID_SIZE, deviations, perfect_student

PRIOR = 949
MEAN, VARIANCE = 0.7, 0.25
segments_of_students = pytest.mark.parametrize("segments", [1, 2, 4])


def mean_of_samples(
    schedule: NoiseSchedule, segments: int, reference: float | None, first: int | None = None
) -> float:
    """Return where samples of one step per segment lie on average, from the noised `reference`.

    Without noise the linear chain yields its mean.
    """
    nothing = torch.zeros(1, 1, 2, 1, 1)
    start = nothing
    if reference is not None:
        picture = torch.full((1, 1, 1, 1), reference)
        start = noised_reference(picture, nothing, PRIOR, schedule)
    steps = student_steps(segments, segments, GRID_SIZE, 1000, "edge_renoise", first)

    def no_noise(index: int) -> Tensor:
        raise AssertionError(f"step {index} asked for noise")

    student = perfect_student(schedule, VARIANCE, segments, MEAN)
    return float(sample(student, start, steps, schedule, no_noise).mean())


@segments_of_students
@pytest.mark.parametrize("reference", [MEAN, 2.0])
def test_legacy_leaves_a_trace_of_the_reference(
    schedule: NoiseSchedule, segments: int, reference: float
) -> None:
    added = mean_of_samples(schedule, segments, reference) - mean_of_samples(
        schedule, segments, None
    )
    expected = deviations(schedule, VARIANCE)[0] * schedule.alphas[PRIOR] * reference
    assert added == pytest.approx(float(expected), abs=1e-6)


@segments_of_students
@pytest.mark.parametrize("reference", [MEAN, 2.0])
def test_consistent_leaves_a_trace_only_where_reference_and_video_differ(
    schedule: NoiseSchedule, segments: int, reference: float
) -> None:
    added = mean_of_samples(schedule, segments, reference, first=PRIOR) - mean_of_samples(
        schedule, segments, None
    )
    spread = deviations(schedule, VARIANCE)
    expected = spread[0] / spread[PRIOR] * schedule.alphas[PRIOR] * (reference - MEAN)
    assert added == pytest.approx(float(expected), abs=1e-6)


def test_the_noised_reference_stands_still_at_the_noise_of_its_timestep(
    schedule: NoiseSchedule,
) -> None:
    reference, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 5, 3, 3)
    noised = noised_reference(reference, noise, PRIOR, schedule)
    signal = noised - schedule.sigmas[PRIOR] * noise
    for frame in signal.unbind(2):
        torch.testing.assert_close(frame, schedule.alphas[PRIOR] * reference, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("grid_size", "expected"), [(50, 939), (40, 949), (100, 949), (1, 999)])
def test_the_prior_lies_on_the_students_grid(grid_size: int, expected: int) -> None:
    grid = solver_grid(grid_size, 1000).tolist()
    assert choose_timestep(0, grid) == expected
    assert choose_timestep(grid[-1], grid) == grid[-1]


def test_the_prior_of_a_teacher_is_unianimates_or_any_other() -> None:
    assert choose_timestep(0, range(1, 1000)) == 949
    assert choose_timestep(961, range(1, 1000)) == 961


@pytest.mark.parametrize(("asked", "nearest"), [(951, 959), (1000, 999), (3, 19)])
def test_a_prior_off_the_grid_is_refused_with_the_nearest_on_it(asked: int, nearest: int) -> None:
    with pytest.raises(ConfigError, match=f"got {asked}") as refusal:
        choose_timestep(asked, solver_grid(50, 1000).tolist())
    assert f"prior_timestep={nearest}" in refusal.value.hint


@pytest.mark.parametrize("num_steps", range(1, 51))
def test_a_student_starts_at_the_prior_and_goes_on_as_ever(num_steps: int) -> None:
    usual = student_steps(num_steps, 2, 50, 1000, "edge_renoise")
    steps = student_steps(num_steps, 2, 50, 1000, "edge_renoise", first=939)
    assert steps[0].start == 939
    assert steps[1:] == [step for step in usual[1:] if step.start < 939]
    if num_steps <= 8:
        assert len(steps) == num_steps


def test_a_teacher_spreads_its_steps_below_the_prior() -> None:
    starts = [step.start for step in teacher_steps(4, 939 + 1)]
    assert starts == [939, 704, 469, 234]
