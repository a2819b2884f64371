from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.schedule import NoiseSchedule, guided

# Read off UniAnimate's schedule: alpha, sigma and atan2(sigma, alpha) in degrees.
PUBLISHED = [
    (0, 0.99957, 0.02916, 1.67),
    (19, 0.99046, 0.13780, 7.92),
    (249, 0.80882, 0.58806, 36.02),
    (499, 0.49230, 0.87043, 60.51),
    (749, 0.18213, 0.98327, 79.51),
    (939, 0.03035, 0.99954, 88.26),
    (949, 0.02475, 0.99969, 88.58),
    (999, 0.0, 1.0, 90.0),
]
LAST = 999
TIMESTEPS = torch.tensor([0, 19, 499, 949, 998, LAST])
BATCH = len(TIMESTEPS)
Draw = Callable[..., Tensor]


@pytest.fixture
def draw() -> Draw:
    """Draw `(B, C, F, h, w)` latents, other ones at each call."""
    stream = torch.Generator().manual_seed(0)
    return lambda batch=BATCH: torch.randn(batch, 4, 3, 2, 2, generator=stream)


def angles(schedule: NoiseSchedule, timesteps: Tensor) -> Tensor:
    alphas, sigmas = schedule.alphas[timesteps].double(), schedule.sigmas[timesteps].double()
    return torch.atan2(sigmas, alphas)


@pytest.mark.parametrize(("timestep", "alpha", "sigma", "degrees"), PUBLISHED)
def test_the_schedule_is_the_published_one(
    schedule: NoiseSchedule, timestep: int, alpha: float, sigma: float, degrees: float
) -> None:
    assert float(schedule.alphas[timestep]) == pytest.approx(alpha, abs=6e-6)
    assert float(schedule.sigmas[timestep]) == pytest.approx(sigma, abs=6e-6)
    angle = np.degrees(float(angles(schedule, torch.tensor(timestep))))
    assert angle == pytest.approx(degrees, abs=6e-3)


def test_alphas_cumprod_are_those_of_unianimate(
    schedule: NoiseSchedule, golden: dict[str, NDArray[Any]]
) -> None:
    ours = schedule.alphas.double() ** 2
    np.testing.assert_allclose(ours.numpy(), golden["alphas_cumprod"], rtol=0, atol=5e-7)


def test_the_last_timestep_is_pure_noise(schedule: NoiseSchedule) -> None:
    assert schedule.num_timesteps == LAST + 1
    assert float(schedule.alphas[LAST]) == 0.0
    assert float(schedule.sigmas[LAST]) == 1.0


def test_signal_falls_and_variance_is_kept_at_every_timestep(schedule: NoiseSchedule) -> None:
    assert (schedule.alphas.diff() < 0).all()
    assert (schedule.sigmas.diff() >= 0).all()
    torch.testing.assert_close(
        schedule.alphas**2 + schedule.sigmas**2, torch.ones(LAST + 1), rtol=0, atol=3e-7
    )


def test_latents_come_back_from_noisy_latents_and_velocity(
    schedule: NoiseSchedule, draw: Draw
) -> None:
    latents, noise = draw(), draw()
    noisy_latents = schedule.add_noise(latents, noise, TIMESTEPS)
    velocity = schedule.velocity(latents, noise, TIMESTEPS)
    predicted = schedule.predicted_latents(noisy_latents, velocity, TIMESTEPS)
    torch.testing.assert_close(predicted, latents, rtol=0, atol=2e-6)
    landed = schedule.jump(noisy_latents, velocity, TIMESTEPS, None)
    torch.testing.assert_close(landed, latents, rtol=0, atol=2e-6)


@pytest.mark.parametrize("end", [0, 259, 499, LAST])
def test_the_jump_along_the_true_velocity_keeps_latents_and_noise(
    schedule: NoiseSchedule, draw: Draw, end: int
) -> None:
    latents, noise, ends = draw(), draw(), torch.full_like(TIMESTEPS, end)
    noisy_latents = schedule.add_noise(latents, noise, TIMESTEPS)
    velocity = schedule.velocity(latents, noise, TIMESTEPS)
    landed = schedule.jump(noisy_latents, velocity, TIMESTEPS, ends)
    expected = schedule.add_noise(latents, noise, ends)
    torch.testing.assert_close(landed, expected, rtol=0, atol=2e-6)


def test_a_jump_to_where_one_is_goes_nowhere_whatever_the_velocity(
    schedule: NoiseSchedule, draw: Draw
) -> None:
    here, every = draw(LAST + 1), torch.arange(LAST + 1)
    stayed = schedule.jump(here, 1e6 * draw(LAST + 1), every, every)
    torch.testing.assert_close(stayed, here, rtol=1e-6, atol=0)


def test_jumps_along_the_turning_velocity_compose(schedule: NoiseSchedule, draw: Draw) -> None:
    """The pair (x, v) turns by an angle, so two jumps are one, and a jump back undoes a jump."""
    start, between, end = (torch.full((2,), timestep) for timestep in (LAST, 499, 19))
    noisy_latents, velocity = draw(2), draw(2)

    def turn(x: Tensor, v: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        return schedule.jump(x, v, start, end), schedule.jump(v, -x, start, end)

    halfway = turn(noisy_latents, velocity, start, between)
    torch.testing.assert_close(
        turn(*halfway, between, end), turn(noisy_latents, velocity, start, end), rtol=0, atol=2e-6
    )
    torch.testing.assert_close(
        turn(*halfway, between, start), (noisy_latents, velocity), rtol=0, atol=2e-6
    )


def test_the_velocity_counts_by_the_sine_of_the_angle_between_the_timesteps(
    schedule: NoiseSchedule, draw: Draw
) -> None:
    ends = torch.tensor([0, 0, 259, 499, LAST, 0])
    noisy_latents, velocity = draw().requires_grad_(), draw().requires_grad_()
    schedule.jump(noisy_latents, velocity, TIMESTEPS, ends).sum().backward()
    delta = angles(schedule, TIMESTEPS) - angles(schedule, ends)
    for tensor, slope in ((velocity, -delta.sin()), (noisy_latents, delta.cos())):
        assert tensor.grad is not None
        expected = slope.float().view(-1, 1, 1, 1, 1).expand_as(tensor)
        torch.testing.assert_close(tensor.grad, expected, rtol=0, atol=3e-7)


@pytest.mark.parametrize("num_steps", [1, 2, 4, 8, 20, 40, 50])
def test_the_jump_is_the_step_of_diffusers_ddim(
    schedule: NoiseSchedule, draw: Draw, num_steps: int
) -> None:
    scheduler = make_scheduler(ScheduleConfig())
    scheduler.set_timesteps(num_steps)
    timesteps = scheduler.timesteps
    assert timesteps[0] == LAST
    for start, end in zip(timesteps, [*timesteps[1:], torch.tensor(0)], strict=True):
        noisy_latents, velocity = draw(1), draw(1)
        theirs = scheduler.step(velocity, start, noisy_latents).prev_sample
        ours = schedule.jump(noisy_latents, velocity, start[None], end[None])
        torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-6)


def test_the_jump_is_computed_in_float32_whatever_the_networks_type(
    schedule: NoiseSchedule, draw: Draw
) -> None:
    noisy_latents, velocity = draw().bfloat16(), draw().bfloat16()
    ends = torch.zeros_like(TIMESTEPS)
    landed = schedule.jump(noisy_latents, velocity, TIMESTEPS, ends)
    assert landed.dtype == torch.float32
    assert landed.equal(schedule.jump(noisy_latents.float(), velocity.float(), TIMESTEPS, ends))


@pytest.mark.parametrize(("start", "end"), [(0, 499), (499, 759), (499, LAST), (259, 259)])
def test_renoising_gives_the_signal_and_the_variance_of_the_noisier_timestep(
    schedule: NoiseSchedule, start: int, end: int
) -> None:
    starts, ends = torch.tensor([start]), torch.tensor([end])
    one, nothing = torch.ones(1, 1), torch.zeros(1, 1)
    kept = schedule.renoise(one, nothing, starts, ends)
    added = schedule.renoise(nothing, one, starts, ends)
    torch.testing.assert_close(
        kept[0] * schedule.alphas[starts], schedule.alphas[ends], rtol=0, atol=1e-7
    )
    variance = (kept[0] * schedule.sigmas[starts]) ** 2 + added[0] ** 2
    torch.testing.assert_close(variance, schedule.sigmas[ends] ** 2, rtol=0, atol=5e-7)


def test_renoising_clean_latents_is_adding_noise(schedule: NoiseSchedule, draw: Draw) -> None:
    latents, noise = draw(), draw()
    renoised = schedule.renoise(latents, noise, None, TIMESTEPS)
    expected = schedule.add_noise(latents, noise, TIMESTEPS)
    torch.testing.assert_close(renoised, expected, rtol=0, atol=2e-6)


def test_guidance_goes_from_the_unconditional_velocity_through_the_conditional_one(
    draw: Draw,
) -> None:
    conditional, unconditional = draw(), draw()
    assert guided(conditional, unconditional, 0.0).equal(unconditional)
    torch.testing.assert_close(guided(conditional, unconditional, 1.0), conditional)
    assert guided(conditional, conditional, 2.5).equal(conditional)
    step = guided(conditional, unconditional, 2.5) - conditional
    torch.testing.assert_close(step, 1.5 * (conditional - unconditional), rtol=0, atol=3e-6)


def test_guiding_velocities_is_guiding_predicted_latents(
    schedule: NoiseSchedule, draw: Draw
) -> None:
    noisy_latents, conditional, unconditional = draw(), draw(), draw()

    def predicted(velocity: Tensor) -> Tensor:
        return schedule.predicted_latents(noisy_latents, velocity, TIMESTEPS)

    torch.testing.assert_close(
        predicted(guided(conditional, unconditional, 2.5)),
        guided(predicted(conditional), predicted(unconditional), 2.5),
        rtol=0,
        atol=5e-6,
    )
