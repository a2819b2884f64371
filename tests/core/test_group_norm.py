from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dancelcm_cli.core.blocks import ResBlock
from dancelcm_cli.core.group_norm import GroupNorm, normalize_channels_last

SHAPES = [(3, 64, 6, 4), (2, 96, 5, 6, 4), (1, 320, 7, 24), (2, 32, 9)]


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{len(shape)}-{shape[0]}")
def features(request: pytest.FixtureRequest) -> Tensor:
    """Features `(N, C, ...)` in channels-last memory, far from zero in every channel's own way."""
    torch.manual_seed(0)
    batch, channels, *places = request.param
    drawn = torch.randn(batch, *places, channels) * torch.rand(channels) + torch.randn(channels)
    return drawn.movedim(-1, 1)


def norm_of(features: Tensor, kind: type[nn.GroupNorm] = nn.GroupNorm) -> nn.GroupNorm:
    torch.manual_seed(1)
    norm = kind(32, features.shape[1])
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


@torch.no_grad()
def test_it_is_torchs_group_norm(features: Tensor) -> None:
    norm = norm_of(features)
    made = normalize_channels_last(features, norm)
    torch.testing.assert_close(made, norm(features), rtol=1e-5, atol=1e-5)
    assert made.movedim(1, -1).is_contiguous()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(features: Tensor, dtype: torch.dtype) -> None:
    features, norm = features.to(dtype), norm_of(features)
    exact = norm(features.float())
    made = normalize_channels_last(features, norm.to(dtype))
    rounding = torch.finfo(dtype).eps  # of weights, too
    torch.testing.assert_close(made.float(), exact, rtol=2 * rounding, atol=2 * rounding)
    assert made.dtype == dtype


@torch.no_grad()
def test_equal_features_are_not_divided_by_zero() -> None:
    features = torch.full((1, 4, 4, 32), 3.0, dtype=torch.bfloat16).movedim(-1, 1)
    norm = nn.GroupNorm(32, 32).bfloat16()
    assert (normalize_channels_last(features, norm) == 0).all()


def test_weights_are_those_of_torchs_and_so_are_gradients(features: Tensor) -> None:
    own, plain = (norm_of(features, kind) for kind in (GroupNorm, nn.GroupNorm))
    own.load_state_dict(plain.state_dict())
    for norm in (own, plain):
        # Without a gradient of its own, channels-last memory crashes the backward of torch 2.6.
        norm(features.detach().requires_grad_()).square().sum().backward()
    assert own.weight.grad is not None and plain.weight.grad is not None
    assert torch.equal(own.weight.grad, plain.weight.grad)


@pytest.mark.gpu
@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_it_keeps_the_layout_and_the_result(features: Tensor, dtype: torch.dtype) -> None:
    on_gpu = features.to("cuda", dtype)
    own, plain = (norm_of(features, kind).to("cuda", dtype) for kind in (GroupNorm, nn.GroupNorm))
    made, tolerance = own(on_gpu), 4 * torch.finfo(dtype).eps
    assert made.movedim(1, -1).is_contiguous()
    torch.testing.assert_close(made, plain(on_gpu), rtol=tolerance, atol=max(tolerance, 1e-5))


def test_the_network_normalises_by_it() -> None:
    norms = [module for module in ResBlock(32, 64, 8).modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) == 6 and all(isinstance(norm, GroupNorm) for norm in norms)
