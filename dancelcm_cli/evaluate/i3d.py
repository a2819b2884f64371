"""I3D (Carreira & Zisserman 2017), the network whose logits FVD compares.

Architecture and names follow piergiaj/pytorch-i3d, whose tensors most published files hold; padding
and the epsilon of the batch norm follow DeepMind's original (google-deepmind/kinetics-i3d).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLIP_LENGTH = 16  # frames of a clip
SIDE = 224  # pixels of a frame

Triple = tuple[int, int, int]  # along frames, height and width

NUM_CLASSES = 400

# Channels in, then those of the branches: 1x1; 1x1 and 3x3; 1x1 and 3x3; pooled and 1x1.
_INCEPTIONS = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
# Where pools stand, by the layer that follows them: their windows and strides.
_POOLS: dict[str, tuple[Triple, Triple]] = {
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


class I3D(nn.Sequential):
    """Maps clips `(B, 3, F, 224, 224)` in [-1, 1] to logits `(B, 400)`; F is at least 9."""

    def __init__(self) -> None:
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Unit(3, 64, 7, stride=2),
            "Conv3d_2b_1x1": Unit(64, 64, 1),
            "Conv3d_2c_3x3": Unit(64, 192, 3),
            **{name: Inception(*sizes) for name, sizes in _INCEPTIONS.items()},
        }
        ordered: OrderedDict[str, nn.Module] = OrderedDict()
        for name, layer in layers.items():
            if name in _POOLS:
                ordered[f"before_{name}"] = SamePool(*_POOLS[name])
            ordered[name] = layer
        ordered["average"] = nn.AvgPool3d((2, 7, 7), stride=1)
        ordered["logits"] = nn.Conv3d(1024, NUM_CLASSES, 1)
        super().__init__(ordered)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the logits of `clips`, their mean over the time that is left."""
        features = clips
        for layer in self:
            features = layer(features)
        return features.mean(dim=(2, 3, 4))


class Unit(nn.Conv3d):
    """A convolution, padded as TensorFlow's "SAME" does, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, size, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` `(B, C, F, H, W)` convolved."""
        if self.weight.shape[2:].numel() == 1:  # on CPUs faster than PyTorch's 1x1 convolution
            moved = F.linear(features.movedim(1, -1), self.weight.flatten(1), self.bias)
            return F.relu_(moved.movedim(-1, 1))
        size, stride = self.weight.shape[2:], self.stride
        features, padding = _same(features, size, stride)
        return F.relu_(F.conv3d(features, self.weight, self.bias, stride, padding))


class SamePool(nn.Module):
    """Max pooling, padded as TensorFlow's "SAME" does: zeros never win, as no input is negative."""

    def __init__(self, size: Triple, stride: Triple) -> None:
        super().__init__()
        self._size, self._stride = size, stride

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` `(B, C, F, H, W)` pooled."""
        features, padding = _same(features, self._size, self._stride)
        pooled: Tensor = F.max_pool3d(features, self._size, self._stride, padding)
        return pooled


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.b0 = Unit(in_channels, channels[0], 1)
        self.b1a, self.b1b = Unit(in_channels, channels[1], 1), Unit(channels[1], channels[2], 3)
        self.b2a, self.b2b = Unit(in_channels, channels[3], 1), Unit(channels[3], channels[4], 3)
        self.b3a = SamePool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(in_channels, channels[5], 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the channels of all branches of `features` `(B, C, F, H, W)`."""
        branches = [
            self.b0(features),
            self.b1b(self.b1a(features)),
            self.b2b(self.b2a(features)),
            self.b3b(self.b3a(features)),
        ]
        return torch.cat(branches, dim=1)


def _same(
    features: Tensor, size: Sequence[int], stride: Sequence[int]
) -> tuple[Tensor, tuple[int, ...]]:
    """Return `features` padded where an odd pixel stands after, and the padding that is left."""
    totals = [
        max(kernel - (length % step or step), 0)
        for length, kernel, step in zip(features.shape[2:], size, stride, strict=True)
    ]
    if not any(total % 2 for total in totals):
        return features, tuple(total // 2 for total in totals)
    pairs = [(total // 2, total - total // 2) for total in reversed(totals)]  # last axis first
    return F.pad(features, [amount for pair in pairs for amount in pair]), (0, 0, 0)
