"""I3D with published weights, and none but those with which FVD is defined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dancelcm_cli.core.misfits import fill
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.i3d import CLIP_LENGTH, I3D, SIDE

_NORM = ("running_mean", "running_var", "weight", "bias")  # of a batch norm
_EPSILON = 1e-3  # of the batch norms; ports that keep PyTorch's 1e-5 give other distances

# What the weights of TF-Hub's deepmind/i3d-kinetics-400/1 make of 16 black frames: the first
# logits and the norm of all. Other trainings (on ImageNet first, or on Charades) differ.
_BLACK_LOGITS = (1.09353, 2.83724, 0.40168)
_BLACK_NORM = 23.661
_TOLERANCE = 0.01


def make_i3d(tensors: Mapping[str, Tensor], source: object) -> I3D:
    """Return the network with `tensors` under their published names, frozen.

    Raises:
        InputError: They do not fit.
    """
    with torch.device("meta"):
        network = I3D()
    fill(network, fold_batch_norms(tensors), source)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last_3d)


def fold_batch_norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return I3D's published tensors with each batch norm made a part of its convolution."""
    folded = {}
    units = [n.removesuffix(".conv3d.weight") for n in tensors if n.endswith(".conv3d.weight")]
    for unit in units:
        weight, bias = tensors[f"{unit}.conv3d.weight"], tensors.get(f"{unit}.conv3d.bias")
        norm = [tensors.get(f"{unit}.bn.{part}") for part in _NORM]
        if None not in norm:
            mean, variance, gain, shift = (part.double() for part in norm if part is not None)
            scale = gain / torch.sqrt(variance + _EPSILON)
            weight = (weight.double() * scale[:, None, None, None, None]).float()
            bias = (shift - mean * scale).float()
        folded[f"{unit}.weight"] = weight
        if bias is not None:  # else `fill` misses it
            folded[f"{unit}.bias"] = bias
    return folded


@torch.inference_mode()
def refuse_other_training(network: I3D, source: object) -> None:
    """Check that `network` holds the weights with which FVD is defined.

    Raises:
        InputError: It was trained otherwise: its distances would be no FVD.
    """
    device = next(network.parameters()).device
    black = torch.full((1, 3, CLIP_LENGTH, SIDE, SIDE), -1.0, device=device)
    (logits,) = network(black).tolist()
    found = (*logits[: len(_BLACK_LOGITS)], sum(logit**2 for logit in logits) ** 0.5)
    expected = (*_BLACK_LOGITS, _BLACK_NORM)
    if all(abs(a - b) < _TOLERANCE for a, b in zip(found, expected, strict=True)):
        return
    raise InputError(
        f"{source} must hold I3D as it was trained on Kinetics-400 alone, got another training:"
        f" logits {_shown(found)} of black frames, not {_shown(expected)}.",
        hint="Leave evaluate.i3d empty and type: dancelcm models fetch i3d",
    )


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
