"""What every kind of run prepares before its loop starts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from dancelcm_cli.config.schema import DistillConfig, TrainConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.vae import reduction
from dancelcm_cli.data.atomic import atomic_folder
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.training.batches import clip_sample, collate
from dancelcm_cli.training.loop import LoopConfig, Task

DEFAULT_TEACHER = "tiny/teacher"
WATCHED_CLIPS = 4  # validation clips that are animated and drawn
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class PreparedRun:
    """A task, how long it runs, and how its result becomes a model folder."""

    task: Task[Any]
    config: LoopConfig
    save: Callable[[Path], None]


def loop_config(config: TrainConfig | DistillConfig, *, untrained: bool) -> LoopConfig:
    """Return what the loop needs of a recipe's section; an untrained network's average warms up."""
    return LoopConfig(
        config.steps,
        config.ema_decay,
        untrained,
        config.validate_every,
        config.checkpoint_every,
        config.keep_checkpoints,
        config.optimizer,
    )


def frozen_copy(network: Module) -> Module:
    """Return a copy in eval mode that takes no gradients."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def picture_size(shards: ShardReader, vae: Any) -> tuple[int, int]:
    """Return height and width of the pictures behind the shards' latents.

    Raises:
        InputError: the shards hold no latents, or those of another autoencoder.
    """
    latents = shards[0].latents
    if latents is None:
        raise InputError(
            f"{shards.folder} must hold latents, got frames alone.",
            hint="Run `dancelcm preprocess` without --store frames, into another folder.",
        )
    if latents.shape[0] != vae.config.latent_channels:
        raise InputError(
            f"Latents must have {vae.config.latent_channels} channels for this autoencoder, "
            f"got {latents.shape[0]} in {shards.folder}.",
            hint="Run `dancelcm preprocess` again with --model set to the same model.",
        )
    cell = reduction(vae)
    return latents.shape[2] * cell, latents.shape[3] * cell


def watched_clips(
    shards: ShardReader, indices: Sequence[int], size: tuple[int, int], num_frames: int
) -> ClipBatch:
    """Return the first clips of `indices` with their stored references, to be looked at."""
    chosen = indices[:WATCHED_CLIPS]
    return collate([clip_sample(shards[i], range(num_frames), *size) for i in chosen])


def save_model(pipeline: DancePipeline, folder: Path) -> None:
    """Write a model folder, whole or not at all."""
    with atomic_folder(folder) as temporary:
        pipeline.save_pretrained(temporary)
