"""How much there is to compute, and how fast this device computes at best."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

SIDES = {"cpu": 1024, "cuda": 8192}  # of the matrices whose product is timed: large, but not slow
MEASURED_SECONDS = 1.0


def count_flops(work: Callable[[], object]) -> int:
    """Return the floating-point operations of the matrix products and convolutions in `work`.

    A multiplication and an addition are two. Attention is taken apart for it, which takes memory.
    """
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return int(counter.get_total_flops())


def peak_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return operations/s of the fastest of many products of two large matrices."""
    side = SIDES.get(device.type, SIDES["cpu"])
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    fastest, ended = float("inf"), time.perf_counter() + MEASURED_SECONDS
    while time.perf_counter() < ended or fastest == float("inf"):
        started = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        fastest = min(fastest, time.perf_counter() - started)
    return 2.0 * side**3 / fastest
