"""Low-rank adapters of the network (LoRA, arXiv 2106.09685), through peft.

A LoRA student trains two thin matrices beside each layer of the frozen teacher. One network is then
both: with its adapters it is the student, without them the teacher.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save_file
from torch import nn

from dancelcm_cli.core.unet import FACE_PREFIX, DanceUNet

ADAPTED_PARTS = ("temporal_in", "down", "middle_in", "middle_out", "up")  # all but stems and ends


def add_adapters(unet: DanceUNet, rank: int) -> None:
    """Freeze `unet` and put adapters of `rank` beside its linear layers and convolutions.

    The adapters start at zero effect and are float32 whatever the network's own type. Face tokens,
    which no teacher has, are trained in full.
    """
    layers = [
        name
        for name, module in unet.named_modules()
        if name.split(".")[0] in ADAPTED_PARTS and isinstance(module, nn.Linear | nn.Conv2d)
    ]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), unet)
    for name, parameter in unet.named_parameters():
        own = "lora_" in name or name.startswith(FACE_PREFIX)
        parameter.requires_grad_(own)
        if own:
            parameter.data = parameter.data.float()


def has_adapters(unet: nn.Module) -> bool:
    """Tell whether `unet` has adapters."""
    return bool(_adapted_layers(unet))


@contextmanager
def adapters_off(unet: nn.Module) -> Iterator[None]:
    """Within, `unet` computes what it did before it had adapters."""
    layers = _adapted_layers(unet)
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def merge_adapters(unet: DanceUNet) -> None:
    """Add the adapters into the layers that they stand beside, and drop them."""
    for parent in list(unet.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BaseTunerLayer):
                merging: Any = child
                merging.merge()
                setattr(parent, name, merging.get_base_layer())


def save_adapters(unet: DanceUNet, folder: Path) -> None:
    """Write the adapters in peft's layout: `adapter_model.safetensors`, `adapter_config.json`."""
    model: Any = unet
    folder.mkdir()
    tensors = {name: value.contiguous() for name, value in get_peft_model_state_dict(unet).items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    model.peft_config["default"].save_pretrained(folder)


def _adapted_layers(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
