"""The three kinds of run: a teacher, a small autoencoder, a student."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import DistillConfig, Recipe, TrainConfig
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.noise import generator
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline, load_pipeline, load_vae, make_scheduler
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import reduction, to_frames, to_pixels
from dancelcm_cli.data.atomic import atomic_folder
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import Progress
from dancelcm_cli.training.autoencoder import autoencoder_losses
from dancelcm_cli.training.batches import (
    ClipBatches,
    PictureBatches,
    clip_frames,
    clip_sample,
    collate,
    split_sources,
)
from dancelcm_cli.training.consistency import consistency_losses
from dancelcm_cli.training.loop import LoopConfig, Task, run_loop
from dancelcm_cli.training.run_folder import RunInputs, open_run, resume_command
from dancelcm_cli.training.teacher import teacher_losses
from dancelcm_cli.training.validation import psnr, sample_figures

DEFAULT_TEACHER = "tiny/teacher"
VALIDATION_CLIPS = 4
VALIDATION_BATCHES = 4
COMPONENT_PICTURES = 2000  # pictures whose patches give the autoencoder its principal components
SCALING_PICTURES = 500
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class RunSummary:
    """What a run made."""

    output: Path
    steps: int
    seconds: float
    metrics: dict[str, float]


def train_teacher(
    shards: Path,
    output: Path,
    init: Path | None,
    recipe: Recipe,
    progress: Progress,
    *,
    resume: bool,
) -> RunSummary:
    """Train a teacher on `shards`, or fine-tune the one in the model folder `init`.

    Where `init` has an autoencoder but no network, an untrained one of the recipe's sizes is taken;
    without `init`, also the bundled autoencoder.
    """
    started = time.perf_counter()
    config = recipe.train
    inputs = RunInputs("train", shards, init)
    with open_run(output, inputs, recipe, resume=resume) as inputs:
        reader = ShardReader(inputs.shards)
        device = pick_device(recipe.device)
        schedule = NoiseSchedule.from_config(recipe.schedule).to(device)
        vae = load_vae(inputs.model or bundled(DEFAULT_TEACHER))
        network = _network(inputs.model, vae, recipe).to(device)
        average = _frozen_copy(network)
        training, validation = split_sources(reader, config.validation_share, recipe.seed)
        batches = _clip_batches(
            reader,
            training,
            vae,
            config,
            recipe.seed,
            image_steps=config.image_steps,
            image_batch_size=config.image_batch_size,
            random_reference=config.random_reference,
        )
        pipeline = DancePipeline(
            average,
            vae.to(device),
            make_scheduler(recipe.schedule),
            noise_offset=recipe.schedule.noise_offset,
        )

        def losses(step: int, batch: ClipBatch) -> dict[str, Tensor]:
            return teacher_losses(
                network,
                batch.to(device),
                schedule,
                recipe.schedule.noise_offset,
                config.condition_dropout,
                generator(recipe.seed, "train", step),
            )

        held_out = _held_out(reader, validation or training, vae, config, recipe.seed)
        fixed = _first_clips(reader, validation or training, vae, config.num_frames).to(device)

        def validate(step: int) -> dict[str, float]:
            figures = {"validation_loss": 0.0}
            with torch.no_grad():
                for i, batch in enumerate(held_out):
                    stream = generator(recipe.seed, "validation", i)
                    noise_offset = recipe.schedule.noise_offset
                    loss = teacher_losses(
                        average, batch.to(device), schedule, noise_offset, 0.0, stream
                    )["loss"]
                    figures["validation_loss"] += float(loss) / len(held_out)
            strip = output / "samples" / f"step-{step:06d}.png"
            guidance = recipe.distill.guidance_scale
            return figures | sample_figures(pipeline, fixed, [8], guidance, recipe.seed, strip)

        task = Task(network, average, batches, losses, validate)
        command = resume_command("train", output)
        figures = run_loop(output, task, _loop_config(config, warmup=True), progress, command)
        save_model(pipeline, output / "model")
    return RunSummary(output, config.steps, time.perf_counter() - started, figures)


def train_autoencoder(
    shards: Path,
    output: Path,
    init: Path | None,
    recipe: Recipe,
    progress: Progress,
    *,
    resume: bool,
) -> RunSummary:
    """Train the small autoencoder on frames, from principal components or from `init`."""
    started = time.perf_counter()
    config = recipe.train
    inputs = RunInputs("train", shards, init)
    with open_run(output, inputs, recipe, resume=resume) as inputs:
        reader = ShardReader(inputs.shards)
        device = pick_device(recipe.device)
        training, validation = split_sources(reader, config.validation_share, recipe.seed)
        if inputs.model is None:
            network = _untrained_autoencoder(recipe)
            network.start_from_components(
                to_pixels(_some_pictures(reader, training, COMPONENT_PICTURES))
            )
        else:
            network = _patch_autoencoder(inputs.model)
        network = network.train().requires_grad_(True).to(device)
        average = _frozen_copy(network)
        batches = PictureBatches(
            reader, training, steps=config.steps, batch_size=config.batch_size, seed=recipe.seed
        )
        pictures = _some_pictures(reader, validation or training, 100)

        def validate(step: int) -> dict[str, float]:
            pixels = to_pixels(pictures).to(device)
            with torch.no_grad():
                decoded = torch.cat([average(part) for part in torch.split(pixels, 10)])
            return {"psnr": psnr(to_frames(decoded), pictures)}

        def losses(step: int, batch: Tensor) -> dict[str, Tensor]:
            return autoencoder_losses(network, batch.to(device))

        task = Task(network, average, batches, losses, validate)
        command = resume_command("train", output)
        figures = run_loop(output, task, _loop_config(config, warmup=True), progress, command)
        some = to_pixels(_some_pictures(reader, training, SCALING_PICTURES)).to(device)
        with torch.no_grad():
            spread = torch.cat(
                [average.encode(p).latent_dist.mode() for p in torch.split(some, 50)]
            ).std()
        average.register_to_config(scaling_factor=float(1 / spread))
        with atomic_folder(output / "model") as temporary:
            average.save_pretrained(temporary / "vae")
    return RunSummary(output, config.steps, time.perf_counter() - started, figures)


def distill_student(
    shards: Path,
    output: Path,
    teacher: Path | None,
    recipe: Recipe,
    progress: Progress,
    *,
    resume: bool,
) -> RunSummary:
    """Distill the model folder `teacher` into a student by segmented consistency distillation.

    Without `teacher` it is the bundled one.
    """
    started = time.perf_counter()
    config = recipe.distill
    inputs = RunInputs("distill", shards, teacher)
    with open_run(output, inputs, recipe, resume=resume) as inputs:
        reader = ShardReader(inputs.shards)
        device = pick_device(recipe.device)
        source = load_pipeline(inputs.model or bundled(DEFAULT_TEACHER))
        schedule = source.schedule.to(device)
        noise_offset = source.config.noise_offset
        frozen = source.unet.to(device)
        student = copy.deepcopy(frozen).requires_grad_(True)
        if student.face_projector is None:
            torch.manual_seed(recipe.seed)
            student.add_face_tokens()
        student = student.to(device)
        average = _frozen_copy(student)
        training, validation = split_sources(reader, config.validation_share, recipe.seed)
        batches = _clip_batches(reader, training, source.vae, config, recipe.seed)
        pipeline = DancePipeline(
            average,
            source.vae.to(device),
            source.scheduler,
            num_segments=config.segments,
            grid_size=config.grid_size,
            noise_offset=noise_offset,
        )

        def losses(step: int, batch: ClipBatch) -> dict[str, Tensor]:
            return consistency_losses(
                student,
                average,
                frozen,
                batch.to(device),
                schedule,
                noise_offset,
                config,
                generator(recipe.seed, "distill", step),
            )

        fixed = _first_clips(reader, validation or training, source.vae, config.num_frames)
        fixed = fixed.to(device)

        def validate(step: int) -> dict[str, float]:
            strip = output / "samples" / f"step-{step:06d}.png"
            return sample_figures(pipeline, fixed, [1, 2, 4, 8], 1.0, recipe.seed, strip)

        task = Task(student, average, batches, losses, validate)
        command = resume_command("distill", output)
        figures = run_loop(output, task, _loop_config(config, warmup=False), progress, command)
        save_model(pipeline, output / "model")
    return RunSummary(output, config.steps, time.perf_counter() - started, figures)


def save_model(pipeline: DancePipeline, folder: Path) -> None:
    """Write a model folder, whole or not at all."""
    with atomic_folder(folder) as temporary:
        pipeline.save_pretrained(temporary)


def _network(model: Path | None, vae: Any, recipe: Recipe) -> DanceUNet:
    if model is not None and (model / "unet").is_dir():
        unet: DanceUNet = load_pipeline(model).unet.train().requires_grad_(True)
        return unet
    torch.manual_seed(recipe.seed)
    network = DanceUNet.from_network(recipe.network, vae.config.latent_channels, face_tokens=False)
    return network.train()


def _untrained_autoencoder(recipe: Recipe) -> PatchAutoencoder:
    torch.manual_seed(recipe.seed)
    config = recipe.autoencoder
    return PatchAutoencoder(**{field.name: getattr(config, field.name) for field in fields(config)})


def _patch_autoencoder(model: Path) -> PatchAutoencoder:
    vae = load_vae(model)
    if not isinstance(vae, PatchAutoencoder):
        raise InputError(
            f"The autoencoder of {model} must be a PatchAutoencoder, got {type(vae).__name__}.",
            hint="Only the small autoencoder can be trained here.",
        )
    return vae


def _frozen_copy(network: Module) -> Module:
    return copy.deepcopy(network).eval().requires_grad_(False)


def _loop_config(config: TrainConfig | DistillConfig, *, warmup: bool) -> LoopConfig:
    return LoopConfig(
        config.steps,
        config.ema_decay,
        warmup,
        config.validate_every,
        config.checkpoint_every,
        config.keep_checkpoints,
        config.optimizer,
    )


def _clip_batches(
    reader: ShardReader,
    indices: Sequence[int],
    vae: Any,
    config: TrainConfig | DistillConfig,
    seed: int,
    *,
    image_steps: int = 0,
    image_batch_size: int = 1,
    random_reference: bool = False,
) -> ClipBatches:
    height, width = _picture_size(reader, vae)
    return ClipBatches(
        reader,
        indices,
        height,
        width,
        steps=config.steps,
        batch_size=config.batch_size,
        num_frames=config.num_frames,
        seed=seed,
        image_steps=image_steps,
        image_batch_size=image_batch_size,
        random_reference=random_reference,
    )


def _picture_size(reader: ShardReader, vae: Any) -> tuple[int, int]:
    """Return height and width of the pictures behind the shards' latents."""
    latents = reader[0].latents
    if latents is None:
        raise InputError(
            f"{reader.folder} must hold latents, got frames alone.",
            hint="Run `dancelcm preprocess` without --store frames, into another folder.",
        )
    if latents.shape[0] != vae.config.latent_channels:
        raise InputError(
            f"Latents must have {vae.config.latent_channels} channels for this autoencoder, "
            f"got {latents.shape[0]} in {reader.folder}.",
            hint="Run `dancelcm preprocess` again with --model set to the same model.",
        )
    cell = reduction(vae)
    return latents.shape[2] * cell, latents.shape[3] * cell


def _held_out(
    reader: ShardReader, indices: Sequence[int], vae: Any, config: TrainConfig, seed: int
) -> list[ClipBatch]:
    """Return fixed batches of unseen sources."""
    batches = _clip_batches(reader, indices, vae, config, seed)
    return [batches[step] for step in range(VALIDATION_BATCHES)]


def _first_clips(
    reader: ShardReader, indices: Sequence[int], vae: Any, num_frames: int
) -> ClipBatch:
    """Return the first clips of `indices` with their stored references, to be looked at."""
    height, width = _picture_size(reader, vae)
    chosen = indices[:VALIDATION_CLIPS]
    return collate([clip_sample(reader[i], range(num_frames), height, width) for i in chosen])


def _some_pictures(
    reader: ShardReader, indices: Sequence[int], count: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return up to `count` stored frames `(N, H, W, 3)`, evenly over the clips and within each."""
    per_clip = max(1, count // len(indices))
    chosen = indices[:: max(1, len(indices) // count)]
    pictures = []
    for i in chosen:
        frames = clip_frames(reader[i])
        pictures.append(frames[np.linspace(0, len(frames) - 1, per_clip).round().astype(int)])
    return np.concatenate(pictures)[:count]
