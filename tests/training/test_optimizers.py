"""Learning rates in closed form; the optimizer's state through names and back."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import OptimizerConfig
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.training.optimizers import (
    learning_rate,
    load_optimizer_tensors,
    make_optimizer,
    optimizer_tensors,
)


def test_the_learning_rate_warms_up_in_equal_parts_and_stays() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4, decay="constant")
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert set(rates[3:]) == {1.0}
    assert learning_rate(replace(config, warmup_steps=0), 0, 100) == 1.0


def test_the_learning_rate_falls_along_a_cosine_to_one_percent() -> None:
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=0, decay="cosine")
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(2.0 * 0.505)
    assert rates[100] == pytest.approx(2.0 * 0.01)
    assert rates == sorted(rates, reverse=True)
    assert learning_rate(config, 150, 100) == rates[100]


def step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    points = torch.randn(4, 64, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    network(points).square().mean().backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()


def made(config: OptimizerConfig) -> tuple[nn.Module, torch.optim.Optimizer, dict[str, Tensor]]:
    torch.manual_seed(0)
    network = nn.Linear(64, 128)
    parameters = dict(network.named_parameters())
    return network, make_optimizer(config, parameters.values()), parameters


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_an_optimizer_goes_on_from_its_tensors_as_if_it_had_not_stopped(name: str) -> None:
    if name == "adamw8bit":
        pytest.importorskip("bitsandbytes")
    config = OptimizerConfig(name=name, weight_decay=0.1)
    network, optimizer, parameters = made(config)
    resumed, other, others = made(config)
    step(network, optimizer, seed=1)
    resumed.load_state_dict(network.state_dict())
    tensors = {
        key: value.clone() for key, value in optimizer_tensors(optimizer, parameters).items()
    }
    load_optimizer_tensors(other, others, tensors)
    for seed in (2, 3):
        step(network, optimizer, seed)
        step(resumed, other, seed)
    for a, b in zip(network.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_parameter_that_was_never_used_has_no_state() -> None:
    network = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1)})
    parameters = dict(network.named_parameters())
    optimizer = make_optimizer(OptimizerConfig(), parameters.values())
    network["used"](torch.ones(1, 2)).sum().backward()
    optimizer.step()
    tensors = optimizer_tensors(optimizer, parameters)
    assert {key.split(".")[0] for key in tensors} == {"used"}
    load_optimizer_tensors(optimizer, parameters, tensors)
    assert {key.split(".")[0] for key in optimizer_tensors(optimizer, parameters)} == {"used"}


def test_eight_bits_keep_a_quarter_of_the_moments_size() -> None:
    pytest.importorskip("bitsandbytes")

    def size(name: str) -> int:
        network, optimizer, parameters = made(OptimizerConfig(name=name))
        step(network, optimizer, seed=1)
        tensors = optimizer_tensors(optimizer, parameters)
        return sum(t.nbytes for key, t in tensors.items() if "weight" in key and t.numel() > 256)

    assert size("adamw8bit") < 0.3 * size("adamw")


def test_eight_bits_without_bitsandbytes_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(ConfigError, match="bitsandbytes") as caught:
        make_optimizer(OptimizerConfig(name="adamw8bit"), nn.Linear(2, 1).parameters())
    assert 'pip install "dancelcm[8bit]"' in caught.value.hint
