"""Group normalisation of features in channels-last memory, for GPUs.

On a GPU torch's own kernel reads one memory layout alone: features that lie channels last are
copied before it and turned round again for the convolution after it. It also works on a sample and
a group at a time, which for one clip of 32 groups leaves most of a large GPU idle. Here each
channel is a column, reduced along all places at once, and a second pass scales and shifts.

The result is that of `nn.GroupNorm` to rounding. On a CPU torch's kernel reads both layouts and is
several times as quick as this one, so it is left in place there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm`, along channels-last memory where that is on a GPU and nothing is learnt.

    A compiler makes its own kernel of torch's.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, ...)` to the same shape and layout."""
        own = features.is_cuda and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if not (own and features.movedim(1, -1).is_contiguous()):
            return super().forward(features)
        return normalize_channels_last(features, self)


def normalize_channels_last(features: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Return what `norm` makes of `(N, C, ...)` whose memory is channels last; without gradients.

    Statistics are float32 whatever the features are.
    """
    last = features.movedim(1, -1)
    rows = last.flatten(1, -2)
    variances, means = (part.view(len(rows), norm.num_groups, -1) for part in _moments(rows))
    mean = means.mean(-1, keepdim=True)
    variance = variances.mean(-1, keepdim=True) + means.var(-1, correction=0, keepdim=True)
    scale = norm.weight.float().view(norm.num_groups, -1) * (variance + norm.eps).rsqrt()
    shift = norm.bias.float().view(norm.num_groups, -1) - mean * scale
    out = torch.empty_like(rows)  # in its precision, so that no float32 copy is written
    torch.addcmul(shift.flatten(1)[:, None], rows, scale.flatten(1)[:, None], out=out)
    return out.view(last.shape).movedim(-1, 1)


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return variances and means `(N, C)` of `(N, L, C)` along L, float32."""
    if rows.dtype == torch.float32:
        variances, means = torch.var_mean(rows, dim=1, correction=0)
        return variances, means
    # Torch's variance is of the features' own precision. Squares lose more where the mean is far
    # from zero, but there the features themselves are coarse.
    means = rows.mean(1, dtype=torch.float32)
    norms = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
    return (norms.square() / rows.shape[1] - means.square()).clamp(min=0), means
