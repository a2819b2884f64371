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
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dancelcm_cli.config.schema import Distance, DistillConfig, LossSpace, ScheduleConfig
from dancelcm_cli.core.auxiliary_head import AuxiliaryHead
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import sample_streams
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import segment_edges, solver_grid
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training import consistency
from dancelcm_cli.training.batches import clip_sample, collate
from dancelcm_cli.training.consistency import consistency_losses, draw_timesteps, lcm_latents
from dancelcm_cli.training.network import TrainedNetwork, velocity_of

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

    def forward(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        conditions: Conditions,
        keep: Tensor | None = None,
    ) -> Tensor:
        mean = MEAN if keep is None else NULL_MEAN
        alpha, sigma = place(ALPHAS, timesteps), place(SIGMAS, timesteps)
        distance = (noisy_latents.double() - alpha * mean) / (alpha**2 * VARIANCE + sigma**2)
        latents, noise = mean + alpha * VARIANCE * distance, sigma * distance
        return (alpha * noise - sigma * latents).float()


class GaussianStudent(nn.Module):
    """The student of closed form that is consistent with the teacher under guidance.

    It speaks v, or (wrongly) the noise, or v for VideoLCM's consistency function.
    """

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

    def forward(
        self, noisy_latents: Tensor, timesteps: Tensor, conditions: Conditions
    ) -> tuple[Tensor, None]:
        self.seen |= set(timesteps.tolist())
        noisy_latents = noisy_latents.double()
        edges = self.edges[timesteps]
        alpha, sigma = place(ALPHAS, timesteps), place(SIGMAS, timesteps)
        alpha_edge, sigma_edge = place(ALPHAS, edges), place(SIGMAS, edges)
        distance = noisy_latents - alpha * self.mean
        at_edge = alpha_edge * self.mean + place(self.factors, timesteps) * distance
        if self.speaks == "lcm":
            return self._lcm_velocity(noisy_latents, timesteps, at_edge), None
        cosine = alpha_edge * alpha + sigma_edge * sigma
        sine = alpha_edge * sigma - sigma_edge * alpha
        # A jump to where one is already needs no v: there the sine is 0.
        velocity = (cosine * noisy_latents - at_edge) / sine.where(sine != 0, 1.0)
        if self.speaks == "noise":
            velocity = sigma * noisy_latents + alpha * velocity
        return velocity.float(), None

    def _lcm_velocity(self, noisy_latents: Tensor, timesteps: Tensor, wanted: Tensor) -> Tensor:
        """Return the v of which c_skip x + c_out x0 is `wanted`."""
        scaled = 10.0 * place(torch.arange(len(ALPHAS)).double(), timesteps)
        skip, out = 0.25 / (scaled**2 + 0.25), scaled / (scaled**2 + 0.25).sqrt()
        clean = (wanted - skip * noisy_latents) / out.where(out != 0, 1.0)
        alpha, sigma = place(ALPHAS, timesteps), place(SIGMAS, timesteps)
        return ((alpha * noisy_latents - clean) / sigma).float()


class Late(nn.Module):
    """Tells `network` a timestep that is `delay` too high."""

    def __init__(self, network: GaussianStudent, delay: int) -> None:
        super().__init__()
        self.network, self.delay = network, delay

    def forward(
        self, noisy_latents: Tensor, timesteps: Tensor, conditions: Conditions
    ) -> tuple[Tensor, None]:
        return self.network(noisy_latents, timesteps + self.delay, conditions)


def step_factor(start: int, end: int) -> Tensor:
    variance = ALPHAS[start] ** 2 * VARIANCE + SIGMAS[start] ** 2
    return (ALPHAS[end] * ALPHAS[start] * VARIANCE + SIGMAS[end] * SIGMAS[start]) / variance


def gaussian_loss(
    segments: int,
    grid_size: int,
    student: nn.Module | None = None,
    target: nn.Module | None = None,
    schedule: NoiseSchedule = SCHEDULE,
    **settings: Any,
) -> float:
    """Return the loss of Gaussian networks over a batch that meets every timestep of the grid."""
    stream = torch.Generator().manual_seed(0)
    latents = MEAN + math.sqrt(VARIANCE) * torch.randn(1000, 1, 2, 1, 1, generator=stream)
    nothing = torch.zeros(1000, 0)
    settings = {"guidance_scale": GUIDANCE} | settings
    config = DistillConfig(segments=segments, grid_size=grid_size, **settings)
    learner = student or GaussianStudent(segments, grid_size)
    asked = target or learner
    losses = consistency_losses(
        learner,
        lambda *inputs: asked(*inputs)[0],
        GaussianTeacher(),
        ClipBatch(latents, Conditions(nothing, nothing, nothing)),
        schedule,
        0.1,
        config,
        sample_streams(0, "test", range(1000)),
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


@pytest.mark.parametrize(("segments", "grid_size"), GRIDS)
def test_the_last_edge_is_timestep_zero_and_not_the_clean_latents(
    segments: int, grid_size: int
) -> None:
    alphas, sigmas = SCHEDULE.alphas.clone(), SCHEDULE.sigmas.clone()
    alphas[0], sigmas[0] = 1.0, 0.0
    loss = gaussian_loss(segments, grid_size, schedule=NoiseSchedule(alphas, sigmas))
    assert loss > 1e-5  # sigma is no more than 0.03 there


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


@pytest.mark.parametrize("space", get_args(LossSpace))
@pytest.mark.parametrize("kind", get_args(Distance))
def test_the_consistent_student_has_no_loss_however_it_is_measured(space: str, kind: str) -> None:
    settings = {"loss_space": space, "distance": kind}
    assert gaussian_loss(2, 40, **settings) < 1e-5
    assert gaussian_loss(2, 40, GaussianStudent(4, 40), **settings) > FOUND_OUT


def test_videolcm_has_a_consistency_function_of_its_own() -> None:
    own = GaussianStudent(1, 50, speaks="lcm")
    assert gaussian_loss(1, 50, own, method="videolcm") < 1e-6
    others = gaussian_loss(1, 50, method="videolcm"), gaussian_loss(1, 50, own)
    assert min(others) > 5e-4  # it differs from the jump to timestep 0 by a sigma of 0.03


def test_the_boundary_of_videolcm_is_the_identity_at_zero_and_the_clean_latents_above() -> None:
    noisy, velocity = torch.randn(2, 3, 1, 1, 1), torch.randn(2, 3, 1, 1, 1)
    timesteps = torch.tensor([0, 999])
    landed = lcm_latents(SCHEDULE, noisy, velocity, timesteps)
    assert torch.equal(landed[0], noisy[0])
    assert torch.allclose(landed[1], -velocity[1], atol=1e-6)  # alpha is 0 there


def test_heun_and_more_substeps_lead_to_other_students() -> None:
    for settings in ({"solver": "heun"}, {"substeps": 2}):
        assert gaussian_loss(2, 40, **settings) > 1e-5


@given(st.sampled_from(GRIDS), st.integers(0, 1000))
def test_a_uniform_skip_goes_anywhere_in_the_segment(grid: tuple[int, int], seed: int) -> None:
    segments, grid_size = grid
    config = DistillConfig(segments=segments, grid_size=grid_size, skip="uniform")
    streams = sample_streams(seed, "test", range(8))
    start, earlier, edge = draw_timesteps(config, 1000, streams, torch.device("cpu"))
    assert bool(((edge <= earlier) & (earlier < start)).all())
    assert set(start.tolist()) <= set(solver_grid(grid_size, 1000).tolist())
    assert set(edge.tolist()) <= set(segment_edges(segments, grid_size, 1000).tolist())


def test_a_uniform_skip_reaches_both_ends() -> None:
    config = DistillConfig(segments=2, grid_size=50, skip="uniform")
    streams = sample_streams(0, "test", range(4000))
    start, earlier, edge = draw_timesteps(config, 1000, streams, torch.device("cpu"))
    share = (earlier - edge) / (start - edge)
    assert share.min() < 0.01 and share.max() > 0.98
    assert float(share.mean()) == pytest.approx(0.5, abs=0.02)


def test_every_loss_is_finite_at_the_last_timestep_in_half_precision() -> None:
    config = DistillConfig(grid_size=1, segments=1)  # the grid is 999 alone
    nothing = torch.zeros(2, 0)
    latents = torch.randn(2, 1, 2, 4, 4)
    for space in get_args(LossSpace):
        losses = consistency_losses(
            lambda noisy, timesteps, conditions: (noisy.bfloat16(), None),
            lambda noisy, timesteps, conditions: noisy.bfloat16(),
            lambda noisy, timesteps, conditions, keep=None: noisy.bfloat16(),
            ClipBatch(latents, Conditions(nothing, nothing, nothing)),
            SCHEDULE,
            0.1,
            replace(config, loss_space=space),
            sample_streams(0, "test", range(2)),
        )
        assert losses["loss"].isfinite() and losses["loss"].dtype == torch.float32


@pytest.fixture
def batch(shards: Path) -> ClipBatch:
    """Two clips, one with a face and one without; something moves in a half of each picture."""
    reader = ShardReader(shards)
    samples = collate([clip_sample(reader[i], range(4), 64, 64) for i in range(2)])
    mask = torch.zeros_like(samples.motion_mask)
    mask[..., :4] = 1.0
    return replace(samples, motion_mask=mask)


def real_losses(
    student: TrainedNetwork,
    target: DanceUNet,
    teacher: DanceUNet,
    batch: ClipBatch,
    **settings: Any,
) -> dict[str, Tensor]:
    return consistency_losses(
        student,
        velocity_of(target),
        velocity_of(teacher),
        batch,
        SCHEDULE,
        0.1,
        DistillConfig(**settings),
        sample_streams(0, "test", range(len(batch.latents))),
    )


def test_a_copy_of_the_teacher_is_perfect_where_every_segment_is_one_solver_step(
    unet: DanceUNet, batch: ClipBatch
) -> None:
    torch.manual_seed(1)
    target = DanceUNet.from_config(unet.config).eval()  # any: it is asked at its own edge
    student, settings = TrainedNetwork(unet), {"segments": 50, "grid_size": 50}
    with torch.no_grad():
        for guidance_scale, perfect in ((1.0, True), (2.5, False)):
            losses = real_losses(
                student, target, unet, batch, guidance_scale=guidance_scale, **settings
            )
            assert (losses["loss"] < 1e-8) == perfect


def test_gradients_reach_the_student_alone(unet: DanceUNet, batch: ClipBatch) -> None:
    student = TrainedNetwork(copy.deepcopy(unet), AuxiliaryHead(unet))
    others = [copy.deepcopy(unet) for _ in range(2)]
    networks = [student, *others]
    for network in networks:
        network.requires_grad_(True)
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    real_losses(student, *others, batch)["loss"].backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(p.grad is None for frozen in others for p in frozen.parameters())
    for network, state in zip(networks, before, strict=True):
        assert all(torch.equal(state[name], now) for name, now in network.state_dict().items())


def test_the_loss_is_a_pure_function_of_its_streams(unet: DanceUNet, batch: ClipBatch) -> None:
    student = TrainedNetwork(unet)
    with torch.no_grad():
        first, second = (real_losses(student, unet, unet, batch)["loss"] for _ in range(2))
    assert first == second


def gradients(
    unet: DanceUNet, batch: ClipBatch, with_head: bool, **settings: Any
) -> dict[str, Tensor]:
    student = TrainedNetwork(copy.deepcopy(unet), AuxiliaryHead(unet) if with_head else None)
    student.requires_grad_(True)
    real_losses(student, unet, unet, batch, **settings)["loss"].backward()
    return {
        name: parameter.grad for name, parameter in student.unet.named_parameters()
        if parameter.grad is not None
    }  # fmt: skip


def test_a_term_of_weight_zero_leaves_the_gradients_of_the_others(
    unet: DanceUNet, batch: ClipBatch
) -> None:
    settings = {"motion_weight": 0.0, "auxiliary_weight": 0.0}
    plain = gradients(unet, batch, with_head=False, **settings)
    muted = gradients(unet, batch, with_head=True, **settings)
    still = gradients(
        unet,
        replace(batch, motion_mask=torch.zeros(2, 4, 8, 8)),
        with_head=False,
        motion_weight=0.7,
    )
    for name, gradient in plain.items():
        assert torch.equal(muted[name], gradient)
        assert torch.allclose(still[name], gradient, atol=1e-7)
    heard = gradients(unet, batch, with_head=True, motion_weight=0.0, auxiliary_weight=0.1)
    assert not torch.allclose(heard["conv_in.weight"], plain["conv_in.weight"], atol=1e-6)
    assert torch.equal(heard["conv_out.weight"], plain["conv_out.weight"])  # not the head's way


@pytest.mark.parametrize("weight", [0.25, 2.0])
def test_the_motion_term_weighs_the_places_that_move(
    unet: DanceUNet, batch: ClipBatch, weight: float
) -> None:
    student = TrainedNetwork(unet)
    with torch.no_grad():
        without, with_motion, everywhere = (
            real_losses(student, unet, unet, given, motion_weight=factor)
            for given, factor in (
                (batch, 0.0),
                (batch, weight),
                (replace(batch, motion_mask=torch.ones(2, 4, 8, 8)), weight),
            )
        )
    added = with_motion["loss"] - without["loss"]
    assert float(added) == pytest.approx(weight * float(with_motion["motion"]), rel=1e-4)
    assert float(with_motion["motion_share"]) == 0.5
    assert float(everywhere["loss"]) == pytest.approx(
        (1 + weight) * float(without["loss"]), rel=1e-4
    )


def test_the_ground_truth_head_starts_as_the_teachers_denoising(
    unet: DanceUNet, batch: ClipBatch
) -> None:
    head = AuxiliaryHead(unet)
    with torch.no_grad():
        timesteps = torch.tensor([499, 999])
        velocity, auxiliary = TrainedNetwork(unet, head)(batch.latents, timesteps, batch.conditions)
    assert torch.equal(velocity, auxiliary)
    assert head.conv.weight is not unet.conv_out.weight


def test_the_ground_truth_head_learns_the_real_latents(unet: DanceUNet, batch: ClipBatch) -> None:
    student = TrainedNetwork(copy.deepcopy(unet), AuxiliaryHead(unet)).requires_grad_(True)
    optimizer = torch.optim.Adam(student.parameters(), 3e-3)
    settings = {"segments": 1, "grid_size": 1, "auxiliary_weight": 1.0}
    seen = []
    for _ in range(30):
        losses = real_losses(student, unet, unet, batch, **settings)
        optimizer.zero_grad()
        losses["auxiliary"].backward()
        optimizer.step()
        seen.append(float(losses["auxiliary"].detach()))
    assert seen[-1] < 0.7 * seen[0]


def test_a_student_with_face_tokens_starts_as_its_teacher(
    unet: DanceUNet, batch: ClipBatch
) -> None:
    student = copy.deepcopy(unet)
    student.add_face_tokens("vae")
    timesteps = torch.tensor([499, 999])
    with torch.no_grad():
        ours, theirs = (
            velocity_of(network)(batch.latents, timesteps, batch.conditions)
            for network in (student, unet)
        )
    assert theirs.abs().mean() > 0.1
    assert not torch.equal(ours[0], theirs[0])  # the first has a face ...
    assert (ours - theirs).abs().max() < 1e-2
    assert torch.allclose(ours[1], theirs[1], atol=1e-5)  # ... the second has none
    assert unet.config.face_tokens == "none"
