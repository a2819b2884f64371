import pytest
import torch
from torch import nn

from dancelcm_cli.training.ema import update_average


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
