"""What every kind of run prepares before its loop starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dancelcm_cli.config.model_recipe import trained_recipe, write_model_recipe
from dancelcm_cli.config.schema import ComputeConfig, DistillConfig, Recipe, TrainConfig
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import reduction, require_divisible
from dancelcm_cli.data.atomic import atomic_folder
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import Progress
from dancelcm_cli.training.batches import clip_sample
from dancelcm_cli.training.event_files import require_tensorboard
from dancelcm_cli.training.pose_pictures import DrawnPoses, KeptPoses, PosePictures
from dancelcm_cli.training.task import LoopConfig, Task
from dancelcm_cli.training.validation import WatchedClips

DEFAULT_TEACHER = "tiny/teacher"
WATCHED_CLIPS = 4  # validation clips that are animated and drawn


@dataclass(frozen=True)
class PreparedRun:
    """A task, how long it runs, and how its result becomes a model folder.

    `draw` makes the pictures that are kept beside the shards, for this run and others; `begin` does
    what is done once before the first step, and not again by a resumed run.
    """

    task: Task[Any]
    config: LoopConfig
    save: Callable[[Path], None]
    draw: Callable[[Progress], object] = lambda progress: None
    begin: Callable[[Progress], object] = lambda progress: None


def loop_config(
    config: TrainConfig | DistillConfig, compute: ComputeConfig, *, untrained: bool
) -> LoopConfig:
    """Return what the loop needs of a recipe; an untrained network's average warms up.

    Raises:
        ConfigError: TensorBoard is asked for but not installed.
    """
    if compute.tensorboard:
        require_tensorboard()
    return LoopConfig(
        config.steps,
        config.ema_decay,
        untrained,
        config.validate_every,
        config.checkpoint_every,
        config.keep_checkpoints,
        config.optimizer,
        compute,
    )


def picture_size(shards: ShardReader, vae: Any, unet: DanceUNet) -> tuple[int, int]:
    """Return height and width of the pictures behind the shards' latents.

    Raises:
        InputError: the shards hold no latents, those of another autoencoder, or of pictures whose
            size the network cannot halve.
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
    height, width = (side * reduction(vae) for side in latents.shape[2:])
    require_divisible(height, width, vae, unet.config)
    return height, width


def pose_pictures(
    shards: ShardReader, size: tuple[int, int], compute: ComputeConfig
) -> PosePictures:
    """Return the pose pictures of the shards as the recipe wants them: kept, or drawn each time."""
    return KeptPoses(shards, size) if compute.keep_poses else DrawnPoses(size)


def watched_clips(
    shards: ShardReader,
    indices: Sequence[int],
    size: tuple[int, int],
    num_frames: int,
    device: torch.device,
) -> WatchedClips:
    """Return the first clips of `indices` with their stored references, to be looked at."""
    frames = range(num_frames)
    clips = [clip_sample(shards[i], frames, *size).to(device) for i in indices[:WATCHED_CLIPS]]
    return WatchedClips(tuple(clips), shards.rows[indices[0]].fps)


def save_model(
    pipeline: DancePipeline,
    recipe: Recipe,
    folder: Path,
    save_adapters: Callable[[Path], None] | None = None,
) -> None:
    """Write a model folder, whole or not at all, with a LoRA student's adapters in `lora/`.

    What was trained under `recipe` is used under it, too, where no other is named.
    """
    with atomic_folder(folder) as temporary:
        pipeline.save_pretrained(temporary)
        write_model_recipe(temporary, trained_recipe(recipe))
        if save_adapters is not None:
            save_adapters(temporary / "lora")
