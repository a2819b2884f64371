"""In which precision a network computes while everything around it stays float32."""

from __future__ import annotations

import torch

from dancelcm_cli.config.schema import Precision


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context of one network call, no more.

    What solver and loss compute between two calls would lose its meaning in bfloat16: the rounding
    of a jump is larger than the differences that are learnt.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
