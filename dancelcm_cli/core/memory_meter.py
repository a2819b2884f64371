"""How much memory is taken, was taken at most, and is left: on a GPU, or by this process."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import torch

from dancelcm_cli.core.device import peak_memory

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # Linux has them
FORGET_THE_PEAK = "5"  # see proc(5)


def peak_bytes(device: torch.device) -> int:
    """Return the most bytes taken since `restart_peak`, or ever where the system cannot forget."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, IndexError):
        return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return peak_memory() or psutil.Process().memory_info().rss


def restart_peak(device: torch.device) -> None:
    """Forget what was taken at most until now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        CLEAR.write_text(FORGET_THE_PEAK)


def free_bytes(device: torch.device) -> int:
    """Return how much this process may take in all: what it has and what nobody has."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device)
    return psutil.virtual_memory().available + psutil.Process().memory_info().rss
