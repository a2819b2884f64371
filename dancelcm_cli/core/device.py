"""Where tensors live."""

from __future__ import annotations

import torch

from dancelcm_cli.config.schema import Device
from dancelcm_cli.errors import InputError


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
