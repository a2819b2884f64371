"""PeRFlow on Gaussian data, where teacher, solver and perfect student have closed forms.

A solver step t -> s of the exact teacher of N(mean, variance) multiplies the distance from the mean
by (alpha_s alpha_t variance + sigma_s sigma_t) / (alpha_t^2 variance + sigma_t^2), so a window's
line is a multiple of its start plus a multiple of the mean, and the start can be told from every
point of it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dancelcm_cli.config.methods import method_settings
from dancelcm_cli.config.schema import DistillConfig, Recipe, ScheduleConfig
from dancelcm_cli.core.auxiliary_head import AuxiliaryHead
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.noise import sample_streams
from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler, follow_windows
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, solver_grid, upper_edge
from dancelcm_cli.core.solver import solve
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.batches import clip_sample, collate
from dancelcm_cli.training.consistency import guided_velocity
from dancelcm_cli.training.network import TrainedNetwork, Trainee, velocity_of
from dancelcm_cli.training.perflow import draw_places, perflow_losses
from dancelcm_cli.training.runs import distill_student

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
ALPHAS, SIGMAS = SCHEDULE.alphas.double(), SCHEDULE.sigmas.double()
MEAN, NULL_MEAN, VARIANCE = 0.7, -0.4, 0.25  # of the data with conditions, and without
GUIDANCE, SUBSTEPS = 2.5, 8
FOUND_OUT = 1e-4  # a loss that no rounding explains: the perfect student's is 1e-13
NOTHING = Conditions(torch.zeros(1, 0), torch.zeros(1, 0), torch.zeros(1, 0))
GRIDS = [(1, 40), (2, 40), (4, 40), (2, 50)]  # (windows, grid size)
every_grid = pytest.mark.parametrize(("windows", "grid_size"), GRIDS)


def at(table: Tensor, timesteps: Tensor) -> Tensor:
    return table[timesteps].view(-1, 1, 1, 1, 1)


def gaussian_teacher(
    noisy_latents: Tensor, timesteps: Tensor, conditions: Conditions, keep: Tensor | None = None
) -> Tensor:
    """Return the exact v of Gaussian data, whose mean the conditions tell."""
    mean = MEAN if keep is None else NULL_MEAN
    alpha, sigma = at(ALPHAS, timesteps), at(SIGMAS, timesteps)
    distance = (noisy_latents.double() - alpha * mean) / (alpha**2 * VARIANCE + sigma**2)
    latents, noise = mean + alpha * VARIANCE * distance, sigma * distance
    return (alpha * noise - sigma * latents).float()


def solved_factor(noisy_end: int, clean_end: int, substeps: int) -> Tensor:
    """Return what `substeps` steps of DDIM multiply the distance from the mean by."""
    factor, here = torch.ones((), dtype=torch.float64), noisy_end
    for done in range(1, substeps + 1):
        there = noisy_end + (clean_end - noisy_end) * done // substeps
        factor *= ALPHAS[there] * ALPHAS[here] * VARIANCE + SIGMAS[there] * SIGMAS[here]
        factor /= ALPHAS[here] ** 2 * VARIANCE + SIGMAS[here] ** 2
        here = there
    return factor


class GaussianStudent:
    """The student of closed form whose lines end where the guided teacher's solver does."""

    def __init__(
        self,
        windows: int,
        grid_size: int,
        *,
        guidance_scale: float = GUIDANCE,
        substeps: int = SUBSTEPS,
        speaks: str = "v",
    ) -> None:
        self.mean = NULL_MEAN + guidance_scale * (MEAN - NULL_MEAN)
        self.edges = segment_edges(windows, grid_size, len(ALPHAS))
        self.factors = torch.ones(len(ALPHAS), dtype=torch.float64)  # by the window's noisy end
        for clean_end, noisy_end in zip(self.edges[:-1], self.edges[1:], strict=True):
            self.factors[noisy_end] = solved_factor(int(noisy_end), int(clean_end), substeps)
        self.speaks = speaks
        self.seen: set[int] = set()

    def __call__(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        self.seen |= set(timesteps.tolist())
        latents = noisy_latents.double()
        noisy, clean = upper_edge(self.edges, timesteps), lower_edge(self.edges, timesteps)
        share = ((noisy - timesteps) / (noisy - clean)).double().view(-1, 1, 1, 1, 1)
        factor = at(self.factors, noisy)
        shift = (at(ALPHAS, clean) - factor * at(ALPHAS, noisy)) * self.mean
        start = (latents - share * shift) / (1 - share + share * factor)
        kept = at(SIGMAS, clean) / at(SIGMAS, noisy)
        gained = at(ALPHAS, clean) - at(ALPHAS, noisy) * kept
        estimate = (factor * start + shift - kept * start) / gained
        velocity = (at(ALPHAS, timesteps) * latents - estimate) / at(SIGMAS, timesteps)
        if self.speaks == "noise":
            velocity = at(SIGMAS, timesteps) * latents + at(ALPHAS, timesteps) * velocity
        return velocity.float(), None


def gaussian_loss(windows: int, grid_size: int, student: Trainee, **settings: Any) -> float:
    """Return the loss over a batch that meets every timestep of the grid."""
    stream = torch.Generator().manual_seed(0)
    latents = MEAN + VARIANCE**0.5 * torch.randn(1000, 1, 2, 1, 1, generator=stream)
    known = {"guidance_scale": GUIDANCE, "substeps": SUBSTEPS, "distance": "squared"}
    config = DistillConfig(segments=windows, grid_size=grid_size, **(known | settings))
    streams = sample_streams(0, "test", range(1000))
    losses = perflow_losses(
        student, gaussian_teacher, ClipBatch(latents, NOTHING), SCHEDULE, 0.1, config, streams
    )
    return float(losses["loss"])


@every_grid
@pytest.mark.parametrize("substeps", [1, SUBSTEPS])
def test_the_straight_student_has_no_loss_at_any_timestep(
    windows: int, grid_size: int, substeps: int
) -> None:
    student = GaussianStudent(windows, grid_size, substeps=substeps)
    assert gaussian_loss(windows, grid_size, student, substeps=substeps) < 1e-11
    assert student.seen == set(solver_grid(grid_size, len(ALPHAS)).tolist())


@every_grid
def test_a_wrong_student_is_found_out(windows: int, grid_size: int) -> None:
    others = {1, 2, 5} - {windows}
    wrong = [
        GaussianStudent(windows, grid_size, speaks="noise"),
        GaussianStudent(windows, grid_size, guidance_scale=GUIDANCE - 1),
        GaussianStudent(windows, grid_size, substeps=1),
        *(GaussianStudent(other, grid_size) for other in others),
    ]
    for student in wrong:
        assert gaussian_loss(windows, grid_size, student) > FOUND_OUT


@pytest.mark.parametrize("num_steps", [4, 5, 8])
def test_the_scheduler_leads_the_straight_student_where_the_teachers_solver_goes(
    num_steps: int,
) -> None:
    edges = segment_edges(4, 40, len(ALPHAS)).tolist()[::-1]
    noise = torch.randn(3, 1, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    expected = noise
    for noisy_end, clean_end in itertools.pairwise(edges):
        expected = solve(
            lambda x, t: guided_velocity(gaussian_teacher, x, t, NOTHING, GUIDANCE),
            expected,
            torch.full((3,), noisy_end),
            torch.full((3,), clean_end),
            SCHEDULE,
            substeps=SUBSTEPS,
        )
    student = GaussianStudent(4, 40)
    found = follow_windows(
        PeRFlowScheduler(), lambda x, t: student(x, t, NOTHING)[0], noise, num_steps
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-5)


@every_grid
def test_the_drawn_places_lie_in_their_windows(windows: int, grid_size: int) -> None:
    config = DistillConfig(segments=windows, grid_size=grid_size)
    streams = sample_streams(0, "test", range(500))
    timesteps, noisy, clean = draw_places(config, 1000, streams, torch.device("cpu"))
    edges = segment_edges(windows, grid_size, 1000)
    assert ((clean < timesteps) & (timesteps <= noisy)).all()
    assert set(noisy.tolist()) == set(edges[1:].tolist())
    assert set(clean.tolist()) == set(edges[:-1].tolist())


# --- with a real network ---


@pytest.fixture
def batch(shards: Path) -> ClipBatch:
    reader = ShardReader(shards)
    return collate([clip_sample(reader[i], range(4), 64, 64) for i in range(2)])


def real_losses(
    student: Trainee, teacher: DanceUNet, batch: ClipBatch, **settings: Any
) -> dict[str, Tensor]:
    config = replace(DistillConfig(segments=4, grid_size=40, substeps=2), **settings)
    streams = sample_streams(0, "test", range(2))
    return perflow_losses(student, velocity_of(teacher), batch, SCHEDULE, 0.1, config, streams)


def test_a_copy_of_the_teacher_is_perfect_at_the_start_of_one_step_windows(
    unet: DanceUNet, batch: ClipBatch
) -> None:
    student = TrainedNetwork(unet)
    settings = {"segments": 40, "substeps": 1, "motion_weight": 0.0, "distance": "squared"}
    with torch.no_grad():
        assert real_losses(student, unet, batch, guidance_scale=1.0, **settings)["loss"] < 1e-10
        assert real_losses(student, unet, batch, guidance_scale=2.5, **settings)["loss"] > 1e-6


def test_gradients_reach_the_student_alone(unet: DanceUNet, batch: ClipBatch) -> None:
    student = TrainedNetwork(copy.deepcopy(unet), AuxiliaryHead(unet)).requires_grad_(True)
    teacher = copy.deepcopy(unet).requires_grad_(True)
    losses = real_losses(student, teacher, batch)
    assert {"consistency", "motion", "auxiliary", "spread_ratio"} < set(losses)
    losses["loss"].backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_loss_is_a_pure_function_of_its_streams(unet: DanceUNet, batch: ClipBatch) -> None:
    with torch.no_grad():
        first, second = (real_losses(TrainedNetwork(unet), unet, batch)["loss"] for _ in range(2))
    assert first == second


def test_the_model_folder_samples_as_its_student_was_trained(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: Callable[..., Recipe]
) -> None:
    settings = [*method_settings("perflow"), "distill.steps=1", "distill.substeps=1"]
    recipe = make_recipe(*settings, "distill.batch_size=2", "distill.teacher_steps=1")
    distill_student(shards, tmp_path, teacher, recipe, SilentProgress(), resume=False)
    scheduler = load_pipeline(tmp_path / "model").scheduler
    assert isinstance(scheduler, PeRFlowScheduler)
    assert (scheduler.config.num_windows, scheduler.config.grid_size) == (4, 40)
    figures = {name for row in read_rows(tmp_path / "metrics.jsonl") for name in row}
    assert {"psnr_4", "psnr_8"} < figures
    assert not {"psnr_1", "psnr_2"} & figures  # fewer steps than windows are impossible
