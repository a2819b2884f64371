from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.lora import (
    adapters_off,
    add_adapters,
    has_adapters,
    merge_adapters,
    save_adapters,
)
from dancelcm_cli.core.unet import DanceUNet


def make_conditions(stream: torch.Generator) -> Conditions:
    return Conditions(
        pose=torch.rand(1, 3, 2, 64, 64, generator=stream),
        reference_pose=torch.rand(1, 3, 64, 64, generator=stream),
        reference_latents=torch.randn(1, 4, 8, 8, generator=stream),
        face_latents=torch.randn(1, 4, 4, 4, generator=stream),
    )


@torch.no_grad()
def velocity(unet: DanceUNet) -> Tensor:
    stream = torch.Generator().manual_seed(3)
    conditions = unet.encode_conditions(make_conditions(stream))
    latents = torch.randn(1, 4, 2, 8, 8, generator=stream)
    return unet(latents, torch.tensor([500]), conditions)


@pytest.fixture
def teacher() -> DanceUNet:
    """An untrained network whose every layer speaks."""
    torch.manual_seed(0)
    unet = DanceUNet.from_network(load_recipe("smoke").network, 4)
    for parameter in unet.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    return unet.eval()


@pytest.fixture
def student(teacher: DanceUNet) -> DanceUNet:
    """The teacher with adapters that have learnt something."""
    unet = copy.deepcopy(teacher)
    torch.manual_seed(1)
    add_adapters(unet, rank=4)
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return unet


def test_adapters_start_without_effect(teacher: DanceUNet) -> None:
    unet = copy.deepcopy(teacher)
    add_adapters(unet, rank=4)
    assert has_adapters(unet) and not has_adapters(teacher)
    torch.testing.assert_close(velocity(unet), velocity(teacher), rtol=0, atol=1e-5)


def test_a_student_without_its_adapters_is_its_teacher(
    teacher: DanceUNet, student: DanceUNet
) -> None:
    learnt = velocity(student)
    assert not torch.allclose(learnt, velocity(teacher), atol=1e-3)
    with adapters_off(student):
        torch.testing.assert_close(velocity(student), velocity(teacher), rtol=0, atol=1e-5)
    assert torch.equal(velocity(student), learnt)


def test_adapters_come_back_after_an_error(student: DanceUNet) -> None:
    learnt = velocity(student)
    with pytest.raises(RuntimeError), adapters_off(student):
        raise RuntimeError
    assert torch.equal(velocity(student), learnt)


def test_adapters_and_face_tokens_alone_learn(teacher: DanceUNet) -> None:
    teacher.add_face_tokens("vae")
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    add_adapters(teacher, rank=2)
    learning = {name for name, p in teacher.named_parameters() if p.requires_grad}
    assert all("lora_" in name or name.startswith("face_") for name in learning)
    assert any("lora_A" in name for name in learning) and "face_gate" in learning
    conditions = teacher.encode_conditions(make_conditions(torch.Generator().manual_seed(0)))
    latents = torch.randn(1, 4, 2, 8, 8)
    teacher(latents, torch.tensor([999]), conditions).square().mean().backward()
    reached = {name for name, p in teacher.named_parameters() if p.grad is not None}
    assert reached == learning
    base = {name.replace(".base_layer", ""): value for name, value in teacher.state_dict().items()}
    assert all(torch.equal(base[name], value) for name, value in before.items())


def test_every_level_of_the_network_is_adapted(student: DanceUNet) -> None:
    adapted = {name.split(".")[0] for name, _ in student.named_parameters() if "lora_" in name}
    assert adapted == {"temporal_in", "down", "middle_in", "middle_out", "up"}


def test_merged_adapters_are_ordinary_weights(teacher: DanceUNet, student: DanceUNet) -> None:
    learnt = velocity(student)
    merge_adapters(student)
    assert not has_adapters(student)
    assert student.state_dict().keys() == teacher.state_dict().keys()
    torch.testing.assert_close(velocity(student), learnt, rtol=0, atol=1e-5)


def test_saved_adapters_make_the_student_of_the_teacher_again(
    tmp_path: Path, teacher: DanceUNet, student: DanceUNet
) -> None:
    save_adapters(student, tmp_path / "lora")
    config = LoraConfig.from_pretrained(tmp_path / "lora")
    inject_adapter_in_model(config, teacher)
    tensors = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    set_peft_model_state_dict(teacher, tensors)
    assert torch.equal(velocity(teacher), velocity(student))


def test_adapters_of_a_half_precision_network_are_float32(teacher: DanceUNet) -> None:
    unet = teacher.to(torch.bfloat16)
    add_adapters(unet, rank=2)
    kinds = {p.dtype for p in unet.parameters() if p.requires_grad}
    assert kinds == {torch.float32}
    assert {p.dtype for p in unet.parameters() if not p.requires_grad} == {torch.bfloat16}
