"""A run that trains a teacher."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.model_folder import (
    load_image_encoder,
    load_pipeline,
    load_vae,
    make_scheduler,
)
from dancelcm_cli.core.noise import sample_streams
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training.batches import ClipBatches, split_sources
from dancelcm_cli.training.ema import Average
from dancelcm_cli.training.network import TrainedNetwork, Trainee, compiled
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
from dancelcm_cli.training.teacher import teacher_losses
from dancelcm_cli.training.validation import picture_path, sample_figures

HELD_OUT_BATCHES = 4
WATCHED_STEPS = 8  # of the samples that are drawn: enough to judge, few enough to wait for


def prepare_teacher(inputs: RunInputs, output: Path, recipe: Recipe) -> PreparedRun:
    """Build network, data and validation of a teacher's run."""
    config, noise_offset = recipe.train, recipe.schedule.noise_offset
    shards = ShardReader(inputs.shards)
    device = pick_device(recipe.device)
    schedule = NoiseSchedule.from_config(recipe.schedule).to(device)
    vae = load_vae(inputs.model or bundled(DEFAULT_TEACHER))
    unet = _network(inputs.model, vae.config.latent_channels, recipe).to(device)
    if recipe.compute.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    network = TrainedNetwork(unet, precision=recipe.compute.precision)
    average = Average(network, recipe.compute, asked=False)
    compiled(network, recipe.compute)
    training, validation = split_sources(shards, config.validation_share, recipe.seed)
    size = picture_size(shards, vae, unet)
    poses = pose_pictures(shards, size, recipe.compute)
    clips = partial(
        ClipBatches,
        shards,
        poses=poses,
        device=device,
        steps=config.steps,
        batch_size=config.batch_size,
        num_frames=config.num_frames,
        seed=recipe.seed,
    )
    pipeline = DancePipeline(
        average.network.unet,
        vae.to(device),
        make_scheduler(recipe.schedule),
        load_image_encoder(inputs.model) if inputs.model else None,
        noise_offset=noise_offset,
    )

    def losses(
        network: Trainee, batch: ClipBatch, stream: str = "train", dropout: float | None = None
    ) -> dict[str, Tensor]:
        streams = sample_streams(recipe.seed, stream, batch.numbers)
        share = config.condition_dropout if dropout is None else dropout
        return teacher_losses(network, batch, schedule, noise_offset, share, streams)

    held_out = clips(validation or training)
    num_frames = max(config.num_frames)
    watched = watched_clips(shards, validation or training, size, num_frames, device)

    @torch.no_grad()
    def held_out_loss() -> float:
        total = 0.0
        for step in range(HELD_OUT_BATCHES):
            total += float(losses(average.network, held_out.part(step), "validation", 0.0)["loss"])
        return total / HELD_OUT_BATCHES

    sampling = SamplingOptions(
        guidance_scale=recipe.distill.guidance_scale,
        seed=recipe.seed,
        temperature=recipe.animate.temperature,
    )

    def validate(step: int) -> dict[str, float]:
        figures = sample_figures(
            pipeline,
            watched,
            [WATCHED_STEPS],
            sampling,
            picture_path(output, step),
        )
        return {"validation_loss": held_out_loss()} | figures

    batches = clips(
        training, image_steps=config.image_steps, image_batch_size=config.image_batch_size
    )
    return PreparedRun(
        Task(
            network,
            average,
            batches,
            losses,
            validate,
            Criterion("validation_loss", largest=False),
        ),
        loop_config(config, recipe.compute, untrained=True),
        partial(save_model, pipeline, recipe),
        draw=poses.prepare,
    )


def _network(model: Path | None, latent_channels: int, recipe: Recipe) -> DanceUNet:
    """Return the network of the folder `model`, or an untrained one where it has none."""
    if model is not None and (model / "unet").is_dir():
        unet: DanceUNet = load_pipeline(model).unet.train().requires_grad_(True)
        return unet
    torch.manual_seed(recipe.seed)
    return DanceUNet.from_network(recipe.network, latent_channels).train()
