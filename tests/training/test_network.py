"""The network as training calls it: the same whatever it is wrapped in, with or without a face."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.auxiliary_head import AuxiliaryHead
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.training.network import TrainedNetwork, velocity_of

TIMESTEPS = torch.tensor([700, 40])


@pytest.fixture
def conditions() -> Conditions:
    stream = torch.Generator().manual_seed(1)
    return Conditions(
        pose=torch.rand(2, 3, 4, 64, 64, generator=stream),
        reference_pose=torch.rand(2, 3, 64, 64, generator=stream),
        reference_latents=torch.randn(2, 4, 8, 8, generator=stream),
        face_latents=torch.randn(2, 4, 4, 4, generator=stream),
        has_face=torch.tensor([1.0, 0.0]),
    )


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(2, 4, 4, 8, 8, generator=torch.Generator().manual_seed(2))


def with_face(unet: DanceUNet) -> TrainedNetwork:
    unet.add_face_tokens("vae")
    return TrainedNetwork(unet, AuxiliaryHead(unet)).requires_grad_(True)


def gradients(
    network: TrainedNetwork, latents: Tensor, conditions: Conditions
) -> dict[str, Tensor]:
    velocity, auxiliary = network(latents, TIMESTEPS, conditions)
    (velocity.float().square().mean() + (auxiliary.float() - 1).square().mean()).backward()
    return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


def test_a_network_in_training_says_what_it_says_in_inference(
    unet: DanceUNet, latents: Tensor, conditions: Conditions
) -> None:
    network = with_face(unet)
    with torch.no_grad():
        wanted = unet(latents, TIMESTEPS, unet.encode_conditions(conditions))
        trained, _ = network(latents, TIMESTEPS, conditions)
    assert torch.equal(trained, wanted)
    assert torch.equal(network.velocity(latents, TIMESTEPS, conditions), wanted)
    assert torch.equal(velocity_of(unet)(latents, TIMESTEPS, conditions), wanted)


def test_without_a_face_the_answer_is_the_same_and_every_weight_is_used(
    unet: DanceUNet, latents: Tensor, conditions: Conditions
) -> None:
    network = with_face(unet)
    faceless = replace(conditions, face_latents=None, has_face=torch.zeros(2))
    trained, _ = network(latents, TIMESTEPS, faceless)
    assert torch.allclose(trained, network.velocity(latents, TIMESTEPS, faceless), atol=1e-5)
    used = gradients(network, latents, faceless)
    assert used.keys() == dict(network.named_parameters()).keys()
    assert not any(grad.any() for name, grad in used.items() if "face" in name)


def test_without_an_embedding_of_the_face_every_weight_is_used(
    latents: Tensor, conditions: Conditions
) -> None:
    recipe = load_recipe("smoke", ["network.image_embed_dim=16"])
    unet = DanceUNet.from_network(recipe.network, 4, face_tokens="clip")
    network = TrainedNetwork(unet, AuxiliaryHead(unet))
    used = gradients(network, latents, conditions)
    assert used.keys() == dict(network.named_parameters()).keys()


def test_the_stem_that_no_training_batch_uses_does_not_learn(
    latents: Tensor, conditions: Conditions
) -> None:
    recipe = load_recipe("smoke", ["network.first_frame=true"])
    unet = DanceUNet.from_network(recipe.network, 4)
    network = TrainedNetwork(unet, AuxiliaryHead(unet))
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert learning == gradients(network, latents, conditions).keys()
    assert not any("first_frame_stem" in name for name in learning)


def test_gradient_checkpointing_changes_no_gradient(
    unet: DanceUNet, latents: Tensor, conditions: Conditions
) -> None:
    network = with_face(unet)
    saving = copy.deepcopy(network)
    saving.unet.enable_gradient_checkpointing()
    wanted, ours = (gradients(n, latents, conditions) for n in (network, saving))
    assert ours.keys() == wanted.keys()
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)


def test_gradient_checkpointing_keeps_fewer_activations(
    unet: DanceUNet, latents: Tensor, conditions: Conditions
) -> None:
    def kept(network: TrainedNetwork) -> int:
        sizes: list[int] = []

        def note(tensor: Tensor) -> Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            network(latents, TIMESTEPS, conditions)
        return sum(sizes)

    network = with_face(unet)
    saving = copy.deepcopy(network)
    saving.unet.enable_gradient_checkpointing()
    assert kept(saving) < 0.4 * kept(network)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_bfloat16_computes_nearly_the_same_with_float32_weights_and_gradients(
    unet: DanceUNet, latents: Tensor, conditions: Conditions, checkpointing: bool
) -> None:
    network = with_face(unet)
    half = copy.deepcopy(network)
    half.precision = "bfloat16"
    if checkpointing:
        half.unet.enable_gradient_checkpointing()
    velocity = half.velocity(latents, TIMESTEPS, conditions)
    wanted = network.velocity(latents, TIMESTEPS, conditions)
    assert velocity.dtype == torch.bfloat16
    assert (velocity - wanted).norm() < 0.05 * wanted.norm()
    ours, theirs = (gradients(n, latents, conditions) for n in (half, network))
    assert {gradient.dtype for gradient in ours.values()} == {torch.float32}
    difference = torch.stack([(ours[name] - theirs[name]).norm() for name in ours]).norm()
    assert difference < 0.1 * torch.stack([theirs[name].norm() for name in theirs]).norm()
