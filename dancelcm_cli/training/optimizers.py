"""The optimizer, its learning rate, and its state as named tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from dancelcm_cli.config.schema import OptimizerConfig
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.training.placement import placed_like

LAST_SHARE = 0.01  # of the learning rate that a cosine leaves at the end


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Return the rate of `step` (from 0): linear warm-up, then constant or a cosine to 1 %."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.decay == "constant":
        return rate
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))
    return rate * (LAST_SHARE + (1 - LAST_SHARE) * cosine)


def make_optimizer(config: OptimizerConfig, parameters: Iterable[Tensor]) -> Optimizer:
    """Return the recipe's optimizer over `parameters`; the loop sets its learning rate.

    Raises:
        ConfigError: bitsandbytes is asked for but not installed.
    """
    learnt = list(parameters)
    betas = (config.beta1, config.beta2)
    if config.name == "adamw8bit":
        return _eight_bit_adamw()(learnt, betas=betas, weight_decay=config.weight_decay)
    on_gpu = all(parameter.is_cuda for parameter in learnt)
    fused = on_gpu or None  # without, a GPU would hold the new weights beside the old
    return AdamW(learnt, betas=betas, weight_decay=config.weight_decay, fused=fused)


def _eight_bit_adamw() -> Any:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ConfigError(
            "The optimizer adamw8bit must have bitsandbytes, which is not installed.",
            hint='Type pip install "dancelcm[8bit]", or take --set '
            "distill.optimizer.name=adamw (train.optimizer.name for `train`).",
        ) from error
    return AdamW8bit


def optimizer_tensors(optimizer: Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state as `<parameter>/<kind>`; `parameters` are those it was made of."""
    return {
        f"{name}/{kind}": torch.as_tensor(value)
        for name, parameter in parameters.items()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_tensors(
    optimizer: Optimizer, parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` returned, whole, to where the `parameters` are."""
    places = {name: place for place, name in enumerate(parameters)}
    state: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for key, value in tensors.items():
        name, _, kind = key.rpartition("/")
        counts = value.ndim == 0 and value.dtype == torch.int64  # of bitsandbytes: plain numbers
        state[places[name]][kind] = int(value) if counts else placed_like(value, parameters[name])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": dict(state), "param_groups": groups})
