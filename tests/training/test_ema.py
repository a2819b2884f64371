"""The average in closed form, and the same wherever it is kept."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dancelcm_cli.config.schema import ComputeConfig
from dancelcm_cli.core.processes import ALONE
from dancelcm_cli.training.ema import Average, update_average

ON_CPU = ComputeConfig(average_device="cpu")
ON_CPU_IN_BFLOAT16 = ComputeConfig(average_device="cpu", precision="bfloat16")


@pytest.mark.parametrize("decay", [0.5, 0.95])
def test_the_average_lags_a_steady_drift_by_its_closed_form(decay: float) -> None:
    drift = 0.01
    network, average = nn.Linear(3, 2), nn.Linear(3, 2)
    average.load_state_dict(network.state_dict())
    for _ in range(400):
        with torch.no_grad():
            network.weight += drift
        update_average(average, network, decay)
    lag = network.weight - average.weight
    assert torch.allclose(lag, torch.full_like(lag, drift * decay / (1 - decay)), rtol=1e-3)
    assert torch.equal(network.bias, average.bias)


def test_steps_too_small_for_half_precision_still_arrive() -> None:
    network = nn.Linear(1, 1).to(torch.bfloat16)
    average = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 1.0)
    nn.init.constant_(average.weight, 0.999)  # bfloat16 would round it to 1
    update_average(average, network, 0.9)
    assert average.weight.dtype == torch.float32
    assert average.weight.item() == pytest.approx(0.9991, abs=1e-6)


def test_buffers_are_copied() -> None:
    network, average = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    network(torch.randn(8, 2))
    update_average(average, network, 0.9)
    for held, present in zip(average.buffers(), network.buffers(), strict=True):
        assert torch.equal(held, present)


def test_an_average_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        update_average(nn.Linear(1, 1), nn.Linear(1, 1, bias=False), 0.9)


def drifted(network: nn.Module, average: Average[nn.Linear]) -> None:
    stream = torch.Generator().manual_seed(0)
    for _ in range(5):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += torch.randn(parameter.shape, generator=stream)
        average.update(network, 0.9)


@pytest.mark.parametrize(
    ("compute", "asked"),
    [
        (ON_CPU, True),
        (ON_CPU, False),
        (ON_CPU_IN_BFLOAT16, True),
        (ON_CPU_IN_BFLOAT16, False),
        (ComputeConfig(sharding="fsdp"), True),  # with one process, which has no shards
    ],
)
def test_an_average_kept_apart_is_the_same_and_its_target_follows(
    compute: ComputeConfig, asked: bool
) -> None:
    network = nn.Linear(3, 2)
    other = copy.deepcopy(network)
    beside, apart = (
        Average(network, ComputeConfig(), asked=True),
        Average(other, compute, asked=asked),
    )
    drifted(network, beside)
    drifted(other, apart)
    assert beside.target is beside.network
    for ours, theirs in zip(apart.network.parameters(), beside.network.parameters(), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, theirs)
    assert (apart.target is apart.network) == (not asked)
    kept = torch.bfloat16 if asked and compute.precision == "bfloat16" else torch.float32
    for ours, theirs in zip(apart.target.parameters(), apart.network.parameters(), strict=True):
        assert torch.equal(ours, theirs.to(kept))
    assert apart.distance(other, ALONE) == pytest.approx(beside.distance(network, ALONE))


def test_an_average_asks_for_no_gradients_and_is_in_eval_mode() -> None:
    average = Average(nn.Linear(3, 2).train(), ON_CPU, asked=True)
    for network in (average.network, average.target):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_loaded_average_and_its_target_are_those_of_the_checkpoint() -> None:
    average = Average(nn.Linear(3, 2), ON_CPU_IN_BFLOAT16, asked=True)
    weights = nn.Linear(3, 2).state_dict()
    average.load(weights)
    assert torch.equal(average.network.weight, weights["weight"])
    assert torch.equal(average.target.weight, weights["weight"].bfloat16())


def test_what_does_not_learn_is_shared_and_stays() -> None:
    network = nn.Sequential(nn.Linear(3, 2).requires_grad_(False), nn.Linear(2, 1))
    average = Average(network, ComputeConfig(), asked=True)
    assert average.network[0].weight is network[0].weight
    assert average.network[1].weight is not network[1].weight
    apart = Average(network, ON_CPU, asked=False)
    assert apart.network[0].weight is not network[0].weight
    before = network[0].weight.clone()
    with torch.no_grad():
        network[0].weight += 1
    apart.update(network, 0.5)
    assert torch.equal(apart.network[0].weight, before)


def test_the_distance_is_relative_and_of_what_learns() -> None:
    network = nn.Sequential(nn.Linear(3, 2).requires_grad_(False), nn.Linear(2, 1))
    average = Average(network, ON_CPU, asked=False)
    with torch.no_grad():
        network[0].weight += 1
        for parameter in network[1].parameters():
            parameter *= 2
    assert average.distance(network, ALONE) == pytest.approx(0.5)
