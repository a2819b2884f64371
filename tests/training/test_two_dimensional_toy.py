"""The whole method on a ring of eight Gaussians: the real step, the real sampler, an exact teacher.

Quality is the energy distance to the data, 0 for the data themselves. Latents `(B, 2, 1, 1, P)`
hold P points of the plane per clip.
"""

from __future__ import annotations

import copy
import math
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import DistillConfig, Sampler, ScheduleConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import generator
from dancelcm_cli.core.sampling import sample, student_steps
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.training.consistency import consistency_losses
from dancelcm_cli.training.ema import update_average

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
NOTHING = Conditions(torch.zeros(1, 0), torch.zeros(1, 0), torch.zeros(1, 0))
RADIUS, SPREAD = 1.35, 0.05  # of the ring, and of each Gaussian on it
CLIPS, POINTS = 64, 8
GRID_SIZE, WIDTH, WAVES = 40, 32, 6
PRETRAINING_STEPS, STEPS = 1500, 3000
SAMPLES = 4096


def points(stream: torch.Generator, clips: int, count: int) -> Tensor:
    """Return data `(clips, 2, 1, 1, count)`."""
    angles = torch.randint(8, (clips, count), generator=stream) * (math.pi / 4)
    centres = RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)
    noise = torch.randn(centres.shape, generator=stream)
    return (centres + SPREAD * noise)[:, :, None, None]


def exact_teacher(
    latents: Tensor, timesteps: Tensor, conditions: Conditions, keep: Tensor | None = None
) -> Tensor:
    """Return the exact v of the ring: its posterior mean is that of each Gaussian, weighted."""
    alpha, sigma = SCHEDULE.coefficients(timesteps, latents[..., None])
    angles = torch.arange(8) * (math.pi / 4)
    centres = RADIUS * torch.stack([angles.cos(), angles.sin()]).view(1, 2, 1, 1, 1, 8)
    variance = alpha**2 * SPREAD**2 + sigma**2
    distance = latents[..., None] - alpha * centres
    weights = (-(distance**2).sum(1, keepdim=True) / (2 * variance)).softmax(-1)
    clean = (weights * (centres + alpha * SPREAD**2 / variance * distance)).sum(-1)
    alpha, sigma = alpha[..., 0], sigma[..., 0]
    return (alpha * latents - clean) / sigma


class Student(nn.Module):
    """A small network from a point and its timestep to v."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 + 2 * WAVES, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, 2),
        )

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions = NOTHING,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        phases = timesteps[:, None] / 1000 * math.pi / 2 * 2.0 ** torch.arange(WAVES)
        waves = torch.cat([phases.sin(), phases.cos()], dim=1)
        x = latents[:, :, 0, 0].transpose(1, 2)
        inputs = torch.cat([x, waves[:, None].expand(-1, x.shape[1], -1)], dim=2)
        return self.layers(inputs).transpose(1, 2)[:, :, None, None], None


@lru_cache
def pretrained(seed: int) -> Student:
    """Return a student that says nearly the teacher's v."""
    torch.manual_seed(seed)
    student, stream = Student(), generator(seed, "pretraining")
    optimizer = torch.optim.Adam(student.parameters(), 1e-3)
    for _ in range(PRETRAINING_STEPS):
        latents = points(stream, CLIPS, POINTS)
        timesteps = torch.randint(1, SCHEDULE.num_timesteps, (CLIPS,), generator=stream)
        noisy = SCHEDULE.add_noise(latents, torch.randn(latents.shape, generator=stream), timesteps)
        predicted, _ = student(noisy, timesteps)
        loss = (predicted - exact_teacher(noisy, timesteps, NOTHING)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student


@lru_cache
def distilled(segments: int, seed: int = 0) -> Student:
    """Return the average of a student that went through the real step."""
    student = copy.deepcopy(pretrained(seed))
    average, stream = copy.deepcopy(student), generator(seed, "distillation")
    config = DistillConfig(segments=segments, grid_size=GRID_SIZE, guidance_scale=1.0)
    optimizer = torch.optim.Adam(student.parameters(), 2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        losses = consistency_losses(
            student,
            lambda *inputs: average(*inputs)[0],
            exact_teacher,
            ClipBatch(points(stream, CLIPS, POINTS), NOTHING),
            SCHEDULE,
            0.0,
            config,
            [stream] * CLIPS,
        )
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        decay.step()
        update_average(average, student, config.ema_decay)
    return average


def distance_to_data(
    segments: int, num_steps: int, sampler: Sampler = "edge_renoise", seed: int = 0
) -> float:
    """Return the energy distance of samples in `num_steps` to the data: 2 E|x-y| - E|x-x'| - ..."""
    student, stream = distilled(segments, seed), generator(seed, "sampling")
    with torch.no_grad():
        latents = sample(
            lambda noisy, timesteps: student(noisy, timesteps)[0],
            torch.randn(1, 2, 1, 1, SAMPLES, generator=stream),
            student_steps(num_steps, segments, GRID_SIZE, SCHEDULE.num_timesteps, sampler),
            SCHEDULE,
            lambda index: torch.randn(1, 2, 1, 1, SAMPLES, generator=stream),
        )
    made, real = (cloud[0, :, 0, 0].T for cloud in (latents, points(stream, 1, SAMPLES)))
    return float(2 * torch.cdist(made, real).mean() - mean_distance(made) - mean_distance(real))


def mean_distance(cloud: Tensor) -> Tensor:
    return torch.cdist(cloud, cloud).sum() / (len(cloud) * (len(cloud) - 1))


@pytest.mark.slow
def test_in_four_steps_two_segments_halve_the_distance_of_one() -> None:
    assert distance_to_data(2, 4, "ddim") < 0.5 * distance_to_data(1, 4, "ddim")
    assert distance_to_data(2, 4, "edge_renoise") < distance_to_data(1, 4, "edge_renoise")


@pytest.mark.slow
def test_landing_on_the_edge_is_no_worse_than_jumping_past_it() -> None:
    for segments in (1, 2):
        edge, ddim = (distance_to_data(segments, 4, rule) for rule in ("edge_renoise", "ddim"))
        assert edge <= 1.1 * ddim


@pytest.mark.slow
def test_a_jump_across_an_edge_is_ten_times_worse() -> None:
    assert distance_to_data(2, 1) > 10 * distance_to_data(2, 2)


@pytest.mark.slow
def test_more_jumps_past_what_was_trained_are_worse() -> None:
    few, more, most = (distance_to_data(1, num_steps, "ddim") for num_steps in (1, 2, 4))
    assert few < more < most
