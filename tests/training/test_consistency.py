"""Distillation on Gaussian data, where teacher, solver and perfect student have closed forms.

For data N(mean, variance) with V_t = alpha_t^2 variance + sigma_t^2, a solver step of the exact
teacher maps the mean exactly and multiplies the distance from it by

    m(t -> s) = (alpha_s alpha_t variance + sigma_s sigma_t) / V_t

so the student that the loss wants multiplies it by the product of m over the grid, down to its
edge.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import DistillConfig, ScheduleConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import generator
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import segment_edges, solver_grid
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training import consistency
from dancelcm_cli.training.batches import clip_sample, collate
from dancelcm_cli.training.consistency import consistency_losses, pseudo_huber

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
ALPHAS, SIGMAS = SCHEDULE.alphas.double(), SCHEDULE.sigmas.double()
MEAN, NULL_MEAN, VARIANCE = 0.7, -0.4, 0.25  # of the data with conditions, and without
GUIDANCE = 2.5
FOUND_OUT = 2e-3  # a loss that no rounding explains: the perfect student's is 1e-12
GRIDS = [(1, 40), (2, 40), (4, 40), (1, 50), (2, 50)]  # (segments, grid size); 4 divides only 40


def place(table: Tensor, timesteps: Tensor) -> Tensor:
    return table[timesteps].view(-1, 1, 1, 1, 1)


class GaussianTeacher(nn.Module):
    """The exact v of Gaussian data; like `DanceUNet`, it loses its conditions where keep is 0."""

    def encode_conditions(self, conditions: Conditions, keep: Tensor | None = None) -> float:
        return MEAN if keep is None else NULL_MEAN

    def forward(self, noisy_latents: Tensor, timesteps: Tensor, mean: float) -> Tensor:
        alpha, sigma = place(ALPHAS, timesteps), place(SIGMAS, timesteps)
        distance = (noisy_latents.double() - alpha * mean) / (alpha**2 * VARIANCE + sigma**2)
        latents, noise = mean + alpha * VARIANCE * distance, sigma * distance
        return (alpha * noise - sigma * latents).float()


class GaussianStudent(nn.Module):
    """The student of closed form that is consistent with the teacher under `guidance_scale`."""

    def __init__(
        self, segments: int, grid_size: int, guidance_scale: float = GUIDANCE, speaks: str = "v"
    ) -> None:
        super().__init__()
        self.mean = NULL_MEAN + guidance_scale * (MEAN - NULL_MEAN)
        self.speaks = speaks
        self.seen: set[int] = set()
        self.edges = torch.zeros(len(ALPHAS), dtype=torch.int64)
        self.factors = torch.ones(len(ALPHAS), dtype=torch.float64)
        edges = segment_edges(segments, grid_size, len(ALPHAS)).tolist()
        earlier = 0
        for timestep in solver_grid(grid_size, len(ALPHAS)).tolist():
            begins = earlier in edges
            self.edges[timestep] = earlier if begins else self.edges[earlier]
            self.factors[timestep] = step_factor(timestep, earlier)
            self.factors[timestep] *= 1.0 if begins else self.factors[earlier]
            earlier = timestep

    def encode_conditions(self, conditions: Conditions, keep: Tensor | None = None) -> None:
        assert keep is None

    def forward(self, noisy_latents: Tensor, timesteps: Tensor, conditions: None) -> Tensor:
        self.seen |= set(timesteps.tolist())
        edges = self.edges[timesteps]
        alpha, sigma = place(ALPHAS, timesteps), place(SIGMAS, timesteps)
        alpha_edge, sigma_edge = place(ALPHAS, edges), place(SIGMAS, edges)
        cosine = alpha_edge * alpha + sigma_edge * sigma
        sine = alpha_edge * sigma - sigma_edge * alpha
        noisy_latents = noisy_latents.double()
        distance = noisy_latents - alpha * self.mean
        at_edge = alpha_edge * self.mean + place(self.factors, timesteps) * distance
        # A jump to where one is already needs no v: there the sine is 0.
        velocity = (cosine * noisy_latents - at_edge) / sine.where(sine != 0, 1.0)
        if self.speaks == "noise":
            velocity = sigma * noisy_latents + alpha * velocity
        return velocity.float()


class Late(nn.Module):
    """Tells `network` a timestep that is `delay` too high."""

    def __init__(self, network: GaussianStudent, delay: int) -> None:
        super().__init__()
        self.network, self.delay = network, delay
        self.encode_conditions = network.encode_conditions

    def forward(self, noisy_latents: Tensor, timesteps: Tensor, conditions: None) -> Tensor:
        return self.network(noisy_latents, timesteps + self.delay, conditions)


def step_factor(start: int, end: int) -> Tensor:
    variance = ALPHAS[start] ** 2 * VARIANCE + SIGMAS[start] ** 2
    return (ALPHAS[end] * ALPHAS[start] * VARIANCE + SIGMAS[end] * SIGMAS[start]) / variance


def gaussian_loss(
    segments: int,
    grid_size: int,
    student: nn.Module | None = None,
    target: nn.Module | None = None,
    guidance_scale: float = GUIDANCE,
) -> float:
    """Return the loss of Gaussian networks over a batch that meets every timestep of the grid."""
    stream = torch.Generator().manual_seed(0)
    latents = MEAN + math.sqrt(VARIANCE) * torch.randn(1000, 1, 2, 1, 1, generator=stream)
    nothing = torch.zeros(1000, 0)
    config = DistillConfig(segments=segments, grid_size=grid_size, guidance_scale=guidance_scale)
    perfect = GaussianStudent(segments, grid_size)
    losses = consistency_losses(
        student or perfect,  # type: ignore[arg-type]
        target or student or perfect,  # type: ignore[arg-type]
        GaussianTeacher(),  # type: ignore[arg-type]
        ClipBatch(latents, Conditions(nothing, nothing, nothing)),
        SCHEDULE,
        0.1,
        config,
        stream,
    )
    return float(losses["loss"])


@pytest.mark.parametrize(("segments", "grid_size"), GRIDS)
def test_the_consistent_student_has_no_loss_at_any_timestep(segments: int, grid_size: int) -> None:
    student = GaussianStudent(segments, grid_size)
    target = GaussianStudent(segments, grid_size)
    assert gaussian_loss(segments, grid_size, student, target) < 1e-10
    grid = solver_grid(grid_size, len(ALPHAS)).tolist()
    assert student.seen == set(grid)
    assert target.seen == {0, *grid[:-1]}


@pytest.mark.parametrize(("segments", "grid_size"), GRIDS)
def test_a_student_that_speaks_noise_instead_of_v_is_found_out(
    segments: int, grid_size: int
) -> None:
    student = GaussianStudent(segments, grid_size, speaks="noise")
    assert gaussian_loss(segments, grid_size, student) > FOUND_OUT


@pytest.mark.parametrize(("segments", "grid_size"), [grid for grid in GRIDS if grid[0] > 1])
def test_the_edge_is_that_of_the_noisier_timestep(
    segments: int, grid_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, stride = consistency.lower_edge, len(ALPHAS) // grid_size
    monkeypatch.setattr(
        consistency, "lower_edge", lambda edges, t: right(edges, (t - stride).clamp(min=0))
    )
    assert gaussian_loss(segments, grid_size) > FOUND_OUT


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_a_student_of_other_segments_is_found_out(segments: int) -> None:
    for others in {1, 2, 4} - {segments}:
        assert gaussian_loss(segments, 40, GaussianStudent(others, 40)) > FOUND_OUT


@pytest.mark.parametrize(("segments", "grid_size"), GRIDS)
@pytest.mark.parametrize("error", [-1.0, 1.0])
def test_guidance_is_g_and_not_w(segments: int, grid_size: int, error: float) -> None:
    assert gaussian_loss(segments, grid_size, guidance_scale=GUIDANCE + error) > FOUND_OUT


@pytest.mark.parametrize(("segments", "grid_size"), GRIDS)
def test_the_target_looks_at_the_cleaner_timestep(segments: int, grid_size: int) -> None:
    target = Late(GaussianStudent(segments, grid_size), len(ALPHAS) // grid_size)
    assert (
        gaussian_loss(segments, grid_size, GaussianStudent(segments, grid_size), target) > FOUND_OUT
    )


@pytest.fixture
def batch(shards: Path) -> ClipBatch:
    """Two clips, one with a face and one without."""
    reader = ShardReader(shards)
    return collate([clip_sample(reader[i], range(4), 64, 64) for i in range(2)])


def real_loss(
    student: DanceUNet, target: DanceUNet, teacher: DanceUNet, batch: ClipBatch, **settings: float
) -> Tensor:
    config = replace(DistillConfig(), **settings)
    stream = generator(0, "test")
    losses = consistency_losses(student, target, teacher, batch, SCHEDULE, 0.1, config, stream)
    return losses["loss"]


def test_a_copy_of_the_teacher_is_perfect_where_every_segment_is_one_solver_step(
    unet: DanceUNet, batch: ClipBatch
) -> None:
    torch.manual_seed(1)
    target = DanceUNet.from_config(unet.config).eval()  # any: it is asked at its own edge
    settings = {"segments": 50, "grid_size": 50}
    with torch.no_grad():
        assert real_loss(unet, target, unet, batch, guidance_scale=1.0, **settings) < 1e-8
        assert real_loss(unet, target, unet, batch, guidance_scale=2.5, **settings) > 1e-6


def test_gradients_reach_the_student_alone(unet: DanceUNet, batch: ClipBatch) -> None:
    networks = [copy.deepcopy(unet).requires_grad_(True) for _ in range(3)]
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    real_loss(networks[0], networks[1], networks[2], batch).backward()
    student, target, teacher = networks
    reached = {name for name, p in student.named_parameters() if p.grad is not None}
    assert reached == {name for name, _ in student.named_parameters()}
    for frozen in (target, teacher):
        assert all(parameter.grad is None for parameter in frozen.parameters())
    for network, state in zip(networks, before, strict=True):
        assert all(torch.equal(state[name], now) for name, now in network.state_dict().items())


def test_the_loss_is_a_pure_function_of_its_stream(unet: DanceUNet, batch: ClipBatch) -> None:
    with torch.no_grad():
        first, second = (real_loss(unet, unet, unet, batch) for _ in range(2))
    assert first == second


def test_a_student_with_face_tokens_starts_as_its_teacher(
    unet: DanceUNet, batch: ClipBatch
) -> None:
    student = copy.deepcopy(unet)
    student.add_face_tokens()
    timesteps = torch.tensor([499, 999])
    with torch.no_grad():
        ours, theirs = (
            network(batch.latents, timesteps, network.encode_conditions(batch.conditions))
            for network in (student, unet)
        )
    assert theirs.abs().mean() > 0.1
    assert not torch.equal(ours[0], theirs[0])  # the first has a face ...
    assert (ours - theirs).abs().max() < 1e-2
    assert torch.allclose(ours[1], theirs[1], atol=1e-5)  # ... the second has none
    assert not unet.config.face_tokens


@pytest.mark.parametrize("constant", [1e-3, 0.5])
def test_pseudo_huber_is_quadratic_near_zero_and_linear_far_away(constant: float) -> None:
    small = constant * torch.tensor([1e-2, -1e-2], dtype=torch.float64)
    large = constant * torch.tensor([1e4, -1e4], dtype=torch.float64)
    assert torch.allclose(pseudo_huber(small, constant), small**2 / (2 * constant), rtol=1e-4)
    assert torch.allclose(pseudo_huber(large, constant), large.abs() - constant, rtol=1e-4)
    assert pseudo_huber(torch.zeros(1), constant) == 0
    at_constant = pseudo_huber(torch.tensor(constant), constant)
    assert float(at_constant) == pytest.approx((math.sqrt(2) - 1) * constant)
