"""A run that distills a student from a teacher."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dancelcm_cli.config.schema import DistillConfig, Recipe
from dancelcm_cli.core.auxiliary_head import AuxiliaryHead
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.noise import sample_streams
from dancelcm_cli.core.pipeline import DancePipeline, load_pipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training.batches import ClipBatches, split_sources
from dancelcm_cli.training.consistency import consistency_losses
from dancelcm_cli.training.loop import Task
from dancelcm_cli.training.network import TrainedNetwork, Trainee, velocity_of
from dancelcm_cli.training.preparation import (
    DEFAULT_TEACHER,
    PreparedRun,
    frozen_copy,
    loop_config,
    picture_size,
    save_model,
    watched_clips,
)
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.validation import sample_figures

WATCHED_STEPS = (1, 2, 4, 8)


def prepare_student(inputs: RunInputs, output: Path, recipe: Recipe) -> PreparedRun:
    """Build student, target, data and validation of a distillation."""
    config = recipe.distill
    shards = ShardReader(inputs.shards)
    device = pick_device(recipe.device)
    source = load_pipeline(inputs.model or bundled(DEFAULT_TEACHER))
    vae, teacher = source.vae.to(device), source.unet.to(device)
    schedule, noise_offset = source.schedule.to(device), source.config.noise_offset
    student = TrainedNetwork(*_student(teacher, config, recipe.seed)).to(device)
    average = frozen_copy(student)
    training, validation = split_sources(shards, config.validation_share, recipe.seed)
    size = picture_size(shards, vae)
    pipeline = DancePipeline(
        average.unet,
        vae,
        source.scheduler,
        num_segments=config.segments,
        grid_size=config.grid_size,
        noise_offset=noise_offset,
    )

    target = velocity_of(average.unet if config.target == "average" else student.unet)

    def losses(student: Trainee, batch: ClipBatch) -> dict[str, Tensor]:
        streams = sample_streams(recipe.seed, "distill", batch.numbers)
        return consistency_losses(
            student,
            target,
            velocity_of(teacher),
            batch.to(device),
            schedule,
            noise_offset,
            config,
            streams,
        )

    num_frames = max(config.num_frames)
    watched = watched_clips(shards, validation or training, size, num_frames).to(device)

    def validate(step: int) -> dict[str, float]:
        strip = output / "samples" / f"step-{step:06d}.png"
        return sample_figures(pipeline, watched, WATCHED_STEPS, 1.0, recipe.seed, strip)

    batches = ClipBatches(
        shards,
        training,
        size=size,
        steps=config.steps,
        batch_size=config.batch_size,
        num_frames=config.num_frames,
        seed=recipe.seed,
    )
    return PreparedRun(
        Task(student, average, batches, losses, validate),
        loop_config(config, untrained=False),
        partial(save_model, pipeline),
    )


def _student(
    teacher: DanceUNet, config: DistillConfig, seed: int
) -> tuple[DanceUNet, AuxiliaryHead | None]:
    """Return a copy of the frozen `teacher` that learns, with what the recipe adds to it."""
    student = copy.deepcopy(teacher)
    if student.face_projector is None:
        torch.manual_seed(seed)
        student.add_face_tokens(config.face)
    student.requires_grad_(True)
    return student, AuxiliaryHead(student) if config.auxiliary_weight else None
