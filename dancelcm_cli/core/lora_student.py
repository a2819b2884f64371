"""A LoRA student apart from its teacher: adapters, face tokens, and how it samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from torch import Tensor

from dancelcm_cli.config.schema import FaceTokens
from dancelcm_cli.core.misfits import list_misfits, refuse_misfits, shapes_of
from dancelcm_cli.core.unet import FACE_PREFIX, DanceUNet
from dancelcm_cli.errors import InputError


@dataclass(frozen=True)
class LoraStudent:
    """What a LoRA student adds to its teacher.

    `adapters` are peft's tensors, such as `down.0.res.conv1.lora_A.weight`; `face_tensors` those of
    the network that no teacher has. `teacher` is the `fingerprint` of the teacher. `settings` and
    `scheduler` tell how the student samples, as do its `model_index.json` and scheduler's config.
    """

    adapters: Mapping[str, Tensor]
    rank: int
    alpha: int
    face_tensors: Mapping[str, Tensor]
    face_tokens: FaceTokens
    teacher: str
    settings: Mapping[str, Any]
    scheduler: Mapping[str, Any]


def adapted_layers(adapters: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the layers that peft's tensors stand beside."""
    return sorted({name.partition(".lora_")[0] for name in adapters})


def fingerprint(tensors: Mapping[str, Tensor], layers: list[str]) -> str:
    """Hash what teacher and LoRA student have in common: all but adapted `layers` and face tokens.

    The numbers are rounded to bfloat16, in which a run may have kept its frozen network.
    """
    adapted = {f"{layer}.weight" for layer in layers}
    total = hashlib.sha256()
    for name in sorted(tensors.keys() - adapted):
        if not name.startswith(FACE_PREFIX):
            rounded = tensors[name].to(torch.bfloat16).contiguous().view(torch.int16)
            total.update(name.encode() + rounded.numpy().tobytes())
    return total.hexdigest()


def add_lora_student(unet: DanceUNet, student: LoraStudent) -> None:
    """Put the adapters of `student` beside the layers of its teacher, and its face tokens in.

    Raises:
        InputError: `unet` is another teacher; it is as it was.
    """
    layers = adapted_layers(student.adapters)
    if fingerprint(unet.state_dict(), layers) != student.teacher:
        raise InputError(
            "The teacher must be the one that the LoRA was distilled from, got another.",
            hint="Name that teacher's model folder by --teacher.",
        )
    if student.face_tokens != "none" and unet.face_projector is None:
        unet.add_face_tokens(student.face_tokens)
    config = LoraConfig(r=student.rank, lora_alpha=student.alpha, target_modules=layers)
    inject_adapter_in_model(config, unet)
    own = {
        name.replace(".default", ""): tensor
        for name, tensor in unet.state_dict().items()
        if ".lora_" in name or name.startswith(FACE_PREFIX)
    }
    given = {**student.adapters, **student.face_tensors}
    misfits = list_misfits(shapes_of(own), shapes_of(given))
    refuse_misfits("The LoRA does not fit its teacher", misfits, hint="Export it again.")
    set_peft_model_state_dict(unet, dict(student.adapters))
    unet.load_state_dict(student.face_tensors, strict=False)
