"""Full float32 for the networks of metrics, whose third digit is read."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def exact_float32() -> AbstractContextManager[None]:
    """Keep GPUs from rounding the factors of convolutions to TF32, as PyTorch allows by default."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
