"""Where tensors live, in which precision, and how much room they took."""

from __future__ import annotations

import sys
from typing import TypeVar

import torch
from torch import nn

from dancelcm_cli.config.schema import ComputeConfig, Device
from dancelcm_cli.errors import InputError

Network = TypeVar("Network", bound=nn.Module)


def pick_device(name: Device) -> torch.device:
    """Return the asked device; `auto` takes a GPU where there is one.

    Raises:
        InputError: the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[name]:
        raise InputError(
            f"--device {name} must be on this machine, got none.",
            hint="Type --device cpu, or install a torch build for that device.",
        )
    return torch.device(name)


def peak_memory() -> int | None:
    """Return the most bytes taken so far: on the GPU in use, else by this process.

    None where the system does not tell.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return None
    import resource  # Windows has none

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def frozen_precision(network: Network, compute: ComputeConfig) -> Network:
    """Return `network`, which does not learn, in the precision that its weights are kept in."""
    return network.bfloat16() if compute.precision == "bfloat16" else network
