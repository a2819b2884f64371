"""A run that distills a student from a teacher."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from dancelcm_cli.config.schema import DistillConfig, Recipe
from dancelcm_cli.core.auxiliary_head import AuxiliaryHead
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.device import frozen_precision, pick_device
from dancelcm_cli.core.lora import add_adapters, has_adapters, merge_adapters, save_adapters
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.noise import sample_streams
from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import Progress, SilentProgress
from dancelcm_cli.training.batches import ClipBatches, split_sources
from dancelcm_cli.training.consistency import consistency_losses
from dancelcm_cli.training.ema import Average
from dancelcm_cli.training.network import (
    TrainedNetwork,
    Trainee,
    Velocity,
    compiled,
    velocity_of,
    without_adapters,
)
from dancelcm_cli.training.perflow import perflow_losses
from dancelcm_cli.training.preparation import (
    DEFAULT_TEACHER,
    PreparedRun,
    loop_config,
    picture_size,
    pose_pictures,
    save_model,
    watched_clips,
)
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.task import Criterion, Task
from dancelcm_cli.training.teacher_samples import TeacherSampling, teacher_latents
from dancelcm_cli.training.validation import picture_path, sample_figures

WATCHED_STEPS = (1, 2, 4, 8)
INTER_SEGMENT_SUBSTEPS = 3  # solver steps of the teacher from edge to edge in the second phase


def prepare_student(inputs: RunInputs, output: Path, recipe: Recipe) -> PreparedRun:
    """Build student, target, data and validation of a distillation."""
    shards = ShardReader(inputs.shards)
    device = pick_device(recipe.device)
    source = load_pipeline(inputs.model or bundled(DEFAULT_TEACHER))
    config, start = _phase(recipe.distill, inputs.student, source.unet)
    vae, schedule = source.vae.to(device), source.schedule.to(device)
    noise_offset = source.config.noise_offset
    network = _network(start, config, recipe).to(device)
    average = Average(network, recipe.compute, asked=_asks_average(config))
    teacher = _teacher(source.unet, network.unet, recipe)
    compiled(network, recipe.compute)
    follower = compiled(average.target, recipe.compute)
    target = follower.velocity if config.target == "average" else network.velocity
    least = config.segments if config.method == "perflow" else 1
    watched_steps = [n for n in WATCHED_STEPS if least <= n <= config.grid_size] or [least]
    pipeline = DancePipeline(
        average.network.unet,
        vae,
        _scheduler(source.scheduler, config),
        source.image_encoder,
        num_segments=config.segments,
        grid_size=config.grid_size,
        noise_offset=noise_offset,
    )

    def losses(student: Trainee, batch: ClipBatch) -> dict[str, Tensor]:
        streams = sample_streams(recipe.seed, "distill", batch.numbers)
        if config.method == "perflow":
            return perflow_losses(student, teacher, batch, schedule, noise_offset, config, streams)
        return consistency_losses(
            student, target, teacher, batch, schedule, noise_offset, config, streams
        )

    training, validation = split_sources(shards, config.validation_share, recipe.seed)
    size, num_frames = picture_size(shards, vae, source.unet), max(config.num_frames)
    poses = pose_pictures(shards, size, recipe.compute)
    watched = watched_clips(shards, validation or training, size, num_frames, device)
    options = SamplingOptions(seed=recipe.seed, temperature=recipe.animate.temperature)
    sampling = TeacherSampling(
        config.teacher_steps,
        config.guidance_scale,
        noise_offset,
        options.seed,
        options.temperature,
    )

    def beside(progress: Progress) -> list[Tensor]:
        kept = output / "teacher.safetensors"
        return teacher_latents(kept, teacher, watched, schedule, sampling, progress)

    def validate(step: int) -> dict[str, float]:
        picture, made = picture_path(output, step), beside(SilentProgress())
        return sample_figures(pipeline, watched, watched_steps, options, picture, made)

    judged = max((n for n in watched_steps if n <= recipe.animate.steps), default=watched_steps[0])
    batches = ClipBatches(
        shards,
        training,
        poses=poses,
        device=device,
        steps=config.steps,
        batch_size=config.batch_size,
        num_frames=config.num_frames,
        seed=recipe.seed,
    )
    return PreparedRun(
        Task(
            network, average, batches, losses, validate, Criterion(f"psnr_{judged}", largest=True)
        ),
        loop_config(config, recipe.compute, untrained=False),
        partial(_save, pipeline, recipe),
        draw=poses.prepare,
        begin=beside,
    )


def _scheduler(teachers: DDIMScheduler, config: DistillConfig) -> DDIMScheduler | PeRFlowScheduler:
    """Return what the student's model folder holds: PeRFlow's own sampler, or the teacher's."""
    if config.method != "perflow":
        return teachers
    schedule = teachers.config
    return PeRFlowScheduler(
        schedule.num_train_timesteps,
        schedule.beta_start,
        schedule.beta_end,
        num_windows=config.segments,
        grid_size=config.grid_size,
    )


def _phase(
    config: DistillConfig, student: Path | None, teacher: DanceUNet
) -> tuple[DistillConfig, DanceUNet]:
    """Return the settings of the recipe's phase and the network that it starts from.

    The second phase (arXiv 2406.05768, section 4.2) makes a student of K segments consistent over
    the K edges alone, all the way to 0: one segment on a grid of K timesteps, each step of which
    takes the teacher several.
    """
    if config.phase == 1:
        return config, teacher
    if student is None:
        raise InputError(
            "The second phase must start from a student, got none.",
            hint="Type --student runs/distill-.../model, the result of the first phase.",
        )
    first_phase = load_pipeline(student)
    edges = first_phase.config.num_segments
    if edges < 2:
        raise InputError(
            f"The second phase must start from a student of 2 segments or more, got {edges}.",
            hint="A student of one segment already jumps from everywhere to the end.",
        )
    substeps = max(config.substeps, INTER_SEGMENT_SUBSTEPS)
    return replace(config, segments=1, grid_size=edges, substeps=substeps), first_phase.unet


def _network(start: DanceUNet, config: DistillConfig, recipe: Recipe) -> TrainedNetwork:
    """Return a copy of the frozen `start` that learns, with what the recipe adds to it."""
    unet = copy.deepcopy(start)
    torch.manual_seed(recipe.seed)
    if unet.face_projector is None:
        if config.face == "clip" and not unet.config.image_embed_dim:
            raise InputError(
                "Face tokens of CLIP must come from an image encoder, but this teacher has none.",
                hint="Type --set distill.face=vae, or take a teacher such as UniAnimate.",
            )
        unet.add_face_tokens(config.face)
    if config.tuning == "lora":
        add_adapters(frozen_precision(unet, recipe.compute), config.lora_rank)
    else:
        unet.requires_grad_(True)
    if recipe.compute.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    head = AuxiliaryHead(unet) if config.auxiliary_weight else None
    return TrainedNetwork(unet, head, recipe.compute.precision)


def _teacher(teacher: DanceUNet, student: DanceUNet, recipe: Recipe) -> Velocity:
    """Return the teacher: of the first phase's LoRA student, that student without adapters."""
    if recipe.distill.tuning == "lora" and recipe.distill.phase == 1:
        return without_adapters(student, recipe.compute)
    frozen = frozen_precision(teacher.to(student.device), recipe.compute)
    return velocity_of(frozen, recipe.compute)


def _asks_average(config: DistillConfig) -> bool:
    """Tell whether the target of a step is the average; PeRFlow's is the teacher alone."""
    return config.target == "average" and config.method != "perflow"


def _save(pipeline: DancePipeline, recipe: Recipe, folder: Path) -> None:
    """Write the model folder; a LoRA student's network whole, and its adapters in `lora/`."""
    unet = pipeline.unet
    if not has_adapters(unet):
        save_model(pipeline, recipe, folder)
        return
    merged = copy.deepcopy(unet).float()
    merge_adapters(merged)
    pipeline.register_modules(unet=merged)
    save_model(pipeline, recipe, folder, partial(save_adapters, unet))
