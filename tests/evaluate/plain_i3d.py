"""I3D written down plainly, tensor by tensor: what ours must give, and what it is timed against."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dancelcm_cli.evaluate.i3d import I3D

Tensors = Mapping[str, Tensor]


def plain_i3d(tensors: Tensors, clips: Tensor) -> Tensor:
    """Return the logits (B, 400) that published tensors give clips (B, 3, F, 224, 224)."""
    x = _pool(_unit(tensors, "Conv3d_1a_7x7", clips, stride=2), (1, 3, 3), (1, 2, 2))
    x = _unit(tensors, "Conv3d_2c_3x3", _unit(tensors, "Conv3d_2b_1x1", x))
    x = _pool(x, (1, 3, 3), (1, 2, 2))
    x = _mixed(tensors, "Mixed_3c", _mixed(tensors, "Mixed_3b", x))
    x = _pool(x, (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = _mixed(tensors, f"Mixed_4{letter}", x)
    x = _pool(x, (2, 2, 2), (2, 2, 2))
    x = _mixed(tensors, "Mixed_5c", _mixed(tensors, "Mixed_5b", x))
    x = F.avg_pool3d(x, (2, 7, 7), stride=1)
    x = F.conv3d(x, tensors["logits.conv3d.weight"], tensors["logits.conv3d.bias"])
    return x.mean(dim=(2, 3, 4))


def tensorflow_same(x: Tensor, sizes: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
    """Pad so that ceil(length / stride) windows fit, the odd one after: TensorFlow's rule."""
    for axis, size, stride in zip((2, 3, 4), sizes, strides, strict=True):
        length = x.shape[axis]
        missing = max((-(-length // stride) - 1) * stride + size - length, 0)
        x = F.pad(x, [0, 0] * (4 - axis) + [missing // 2, missing - missing // 2])
    return x


def random_published_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Return random tensors with the names, shapes and batch norms of published ones."""
    random = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        layers = [(n, m) for n, m in I3D().named_modules() if isinstance(m, nn.Conv3d)]
    tensors = {}
    for name, layer in layers:
        weight = torch.randn(layer.weight.shape, generator=random)
        tensors[f"{name}.conv3d.weight"] = weight * (2 / weight[0].numel()) ** 0.5
        width = layer.out_channels
        if name == "logits":
            tensors["logits.conv3d.bias"] = torch.randn(width, generator=random)
            continue
        tensors[f"{name}.bn.running_mean"] = torch.randn(width, generator=random) / 4
        tensors[f"{name}.bn.running_var"] = torch.rand(width, generator=random) + 0.5
        tensors[f"{name}.bn.weight"] = torch.rand(width, generator=random) + 0.5
        tensors[f"{name}.bn.bias"] = torch.randn(width, generator=random) / 4
    return tensors


def _unit(tensors: Tensors, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = tensors[f"{name}.conv3d.weight"]
    x = F.conv3d(tensorflow_same(x, tuple(weight.shape[2:]), (stride,) * 3), weight, stride=stride)
    mean, variance, gain, bias = (
        tensors[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return F.relu(F.batch_norm(x, mean, variance, gain, bias, eps=1e-3))


def _pool(x: Tensor, sizes: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
    return F.max_pool3d(tensorflow_same(x, sizes, strides), sizes, strides)


def _mixed(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    branches = [
        _unit(tensors, f"{name}.b0", x),
        _unit(tensors, f"{name}.b1b", _unit(tensors, f"{name}.b1a", x)),
        _unit(tensors, f"{name}.b2b", _unit(tensors, f"{name}.b2a", x)),
        _unit(tensors, f"{name}.b3b", _pool(x, (3, 3, 3), (1, 1, 1))),
    ]
    return torch.cat(branches, dim=1)
