from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from dancelcm_cli.config.schema import NetworkConfig
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.errors import InputError

MakeUNet = Callable[..., DanceUNet]
MakeConditions = Callable[..., Conditions]


def noisy_latents(batch: int = 1, num_frames: int = 3) -> Tensor:
    return torch.randn(batch, 4, num_frames, 8, 8, generator=torch.Generator().manual_seed(9))


def velocity(
    unet: DanceUNet,
    conditions: Conditions,
    latents: Tensor | None = None,
    timesteps: Tensor | None = None,
    keep: Tensor | None = None,
) -> Tensor:
    batch, num_frames = len(conditions.pose), conditions.pose.shape[2]
    latents = noisy_latents(batch, num_frames) if latents is None else latents
    timesteps = torch.full((batch,), 499) if timesteps is None else timesteps
    with torch.no_grad():
        return unet(latents, timesteps, unet.encode_conditions(conditions, keep))


def select(conditions: Conditions, index: int) -> Conditions:
    """Return one clip of the batch, as a batch of one."""
    values = {field.name: getattr(conditions, field.name) for field in fields(conditions)}
    return Conditions(**{k: v[index : index + 1] for k, v in values.items() if v is not None})


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_the_velocity_has_the_shape_of_the_noisy_latents(
    make_unet: MakeUNet, make_conditions: MakeConditions, num_frames: int
) -> None:
    found = velocity(make_unet(), make_conditions(0, batch=2, num_frames=num_frames))
    assert found.shape == (2, 4, num_frames, 8, 8)
    assert found.isfinite().all()


@pytest.mark.parametrize("face_tokens", [False, True])
def test_a_samples_velocity_does_not_depend_on_its_batch(
    make_unet: MakeUNet, make_conditions: MakeConditions, face_tokens: bool
) -> None:
    unet, latents = make_unet(face_tokens), noisy_latents(batch=3)
    conditions = replace(make_conditions(0, batch=3), has_face=torch.tensor([1.0, 0.0, 1.0]))
    timesteps, keep = torch.tensor([999, 499, 19]), torch.tensor([1.0, 1.0, 0.0])
    together = velocity(unet, conditions, latents, timesteps, keep)
    for index in range(3):
        one = slice(index, index + 1)
        alone = velocity(unet, select(conditions, index), latents[one], timesteps[one], keep[one])
        torch.testing.assert_close(together[one], alone, rtol=0, atol=2e-5)


@pytest.mark.parametrize("field", ["pose", "reference_pose", "reference_latents"])
def test_every_condition_matters(
    make_unet: MakeUNet, make_conditions: MakeConditions, field: str
) -> None:
    unet, conditions = make_unet(), make_conditions(0)
    other = replace(conditions, **{field: getattr(make_conditions(1), field)})
    assert (velocity(unet, conditions) - velocity(unet, other)).abs().max() > 1e-3


@pytest.mark.parametrize("face_tokens", [False, True])
def test_without_its_conditions_every_clip_is_the_same(
    make_unet: MakeUNet, make_conditions: MakeConditions, face_tokens: bool
) -> None:
    unet, dropped = make_unet(face_tokens), torch.zeros(1)
    one = velocity(unet, make_conditions(0), keep=dropped)
    other = velocity(unet, make_conditions(1), keep=dropped)
    assert one.equal(other)
    assert not one.equal(velocity(unet, make_conditions(0)))


def test_keeping_the_conditions_is_not_masking_them(
    make_unet: MakeUNet, make_conditions: MakeConditions
) -> None:
    unet, conditions = make_unet(face_tokens=True), make_conditions(0)
    kept = velocity(unet, conditions, keep=torch.ones(1))
    assert kept.equal(velocity(unet, conditions))


def test_a_face_too_small_for_a_token_is_refused(
    make_unet: MakeUNet, make_conditions: MakeConditions
) -> None:
    conditions = make_conditions(0)
    assert conditions.face_latents is not None
    small = replace(conditions, face_latents=conditions.face_latents[..., :2, :2])
    with pytest.raises(InputError, match="at least 4 x 4 latents, got 2 x 2"):
        velocity(make_unet(face_tokens=True), small)


def test_frames_see_each_other(make_unet: MakeUNet, make_conditions: MakeConditions) -> None:
    unet, conditions, latents = make_unet(), make_conditions(0), noisy_latents()
    changed = latents.clone()
    changed[:, :, 2] += 1.0
    difference = velocity(unet, conditions, latents) - velocity(unet, conditions, changed)
    assert difference[:, :, 0].abs().max() > 1e-3


def test_adding_face_tokens_hardly_changes_the_velocity(
    make_unet: MakeUNet, make_conditions: MakeConditions
) -> None:
    unet, conditions = make_unet(), make_conditions(0, batch=2)
    before = velocity(unet, conditions)
    unet.add_face_tokens("vae")
    after = velocity(unet, conditions)
    assert not after.equal(before)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-2)


def test_an_open_gate_lets_the_face_matter(
    make_unet: MakeUNet, make_conditions: MakeConditions
) -> None:
    unet, conditions = make_unet(face_tokens=True), make_conditions(0)
    other = replace(conditions, face_latents=make_conditions(1).face_latents)
    with torch.no_grad():
        unet.face_gate.fill_(0.0)
    assert (velocity(unet, conditions) - velocity(unet, other)).abs().max() > 1e-4


def test_a_clip_without_a_face_is_a_clip_without_face_tokens(
    make_unet: MakeUNet, make_conditions: MakeConditions
) -> None:
    unet, conditions = make_unet(face_tokens=True), make_conditions(0)
    with torch.no_grad():
        unet.face_gate.fill_(0.0)
    hidden = replace(conditions, has_face=torch.zeros(1))
    found = velocity(unet, hidden)
    other_face = replace(hidden, face_latents=make_conditions(1).face_latents)
    assert found.equal(velocity(unet, other_face))
    without = replace(conditions, face_latents=None, has_face=None)
    torch.testing.assert_close(found, velocity(unet, without), rtol=0, atol=2e-6)


def test_conditions_encoded_once_serve_every_step(
    make_unet: MakeUNet, make_conditions: MakeConditions
) -> None:
    unet, conditions = make_unet(face_tokens=True), make_conditions(0, batch=2)
    with torch.no_grad():
        encoded = unet.encode_conditions(conditions)
        for timestep in (999, 499, 259, 0):
            timesteps, latents = torch.full((2,), timestep), noisy_latents(batch=2)
            found = unet(latents, timesteps, encoded)
            assert found.equal(velocity(unet, conditions, latents, timesteps))
            assert latents.equal(noisy_latents(batch=2))


def test_gradients_reach_every_parameter(
    make_unet: MakeUNet, make_conditions: MakeConditions
) -> None:
    unet, conditions = make_unet(face_tokens=True), make_conditions(0)
    found = unet(noisy_latents(), torch.tensor([499]), unet.encode_conditions(conditions))
    found.square().mean().backward()
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_a_network_of_the_default_recipe_fits_its_latents(make_conditions: MakeConditions) -> None:
    unet = DanceUNet.from_network(NetworkConfig(), latent_channels=4, face_tokens="vae")
    assert velocity(unet, make_conditions(0)).shape == (1, 4, 3, 8, 8)
