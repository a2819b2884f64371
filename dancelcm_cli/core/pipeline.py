"""The model folder: a diffusers pipeline that animates a picture.

pipe = DancePipeline.from_pretrained("assets/tiny/student")
frames = pipe(image, pose, reference_pose, num_inference_steps=4).frames
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline
from diffusers.utils import BaseOutput
from diffusers.utils.logging import disable_progress_bar
from torch import Tensor

from dancelcm_cli.config.schema import Sampler, ScheduleConfig
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import frame_noise
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.sampling import SamplingStep, sample, student_steps, teacher_steps
from dancelcm_cli.core.schedule import NoiseSchedule, guided
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import Frames, decode_latents, encode_frames, reduction, to_pictures
from dancelcm_cli.errors import InputError

FORMAT_VERSION = 1


@dataclass
class DanceOutput(BaseOutput):  # type: ignore[misc]
    """Frames `(F, H, W, 3)` uint8 RGB, and the scaled latents `(C, F, h, w)` behind them."""

    frames: Frames
    latents: Tensor


class DancePipeline(DiffusionPipeline):  # type: ignore[misc]
    """Network, autoencoder and schedule, with what a student was trained for.

    `num_segments` is a student's K; 0 marks a teacher, which samples by plain DDIM. `grid_size` is
    the number of timesteps the student was trained at.
    """

    model_cpu_offload_seq = "image_encoder->unet->vae"
    _optional_components = ["image_encoder"]  # noqa: RUF012 - diffusers' own convention

    def __init__(
        self,
        unet: DanceUNet,
        vae: PatchAutoencoder | AutoencoderKL,
        scheduler: DDIMScheduler,
        image_encoder: Any = None,
        num_segments: int = 0,
        grid_size: int = 50,
        noise_offset: float = 0.1,
        format_version: int = FORMAT_VERSION,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, vae=vae, scheduler=scheduler, image_encoder=image_encoder)
        self.register_to_config(
            num_segments=num_segments,
            grid_size=grid_size,
            noise_offset=noise_offset,
            format_version=format_version,
        )

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule of the `scheduler` folder."""
        config = self.scheduler.config
        return NoiseSchedule.from_config(
            ScheduleConfig(config.num_train_timesteps, config.beta_start, config.beta_end)
        )

    def plan(self, num_inference_steps: int, sampler: Sampler) -> list[SamplingStep]:
        """Return the steps that `num_inference_steps` network calls take."""
        num_timesteps = self.scheduler.config.num_train_timesteps
        if not self.config.num_segments:
            return teacher_steps(num_inference_steps, num_timesteps)
        return student_steps(
            num_inference_steps,
            self.config.num_segments,
            self.config.grid_size,
            num_timesteps,
            sampler,
        )

    def encode(
        self, image: Frames, pose: Frames, reference_pose: Frames, face: Frames | None = None
    ) -> Conditions:
        """Bring pictures to the network's inputs, as a batch of one.

        Args:
            image: reference picture `(H, W, 3)` uint8 RGB.
            pose: pose pictures `(F, H, W, 3)` uint8 RGB of the driving clip.
            reference_pose: pose picture `(H, W, 3)` of the reference.
            face: face crop `(S, S, 3)` of the reference, or None.
        """
        cell = reduction(self.vae) * 2 ** (len(self.unet.config.channel_multipliers) - 1)
        if image.shape[0] % cell or image.shape[1] % cell:
            raise InputError(
                f"Height and width must be multiples of {cell}, got {image.shape[:2]}.",
                hint="Choose others by --set preprocess.height=... and preprocess.width=...",
            )
        face_latents = None if face is None else encode_frames(self.vae, face[None])[:, 0][None]
        return Conditions(
            pose=to_pictures(pose)[None],
            reference_pose=to_pictures(reference_pose[None])[None, :, 0],
            reference_latents=encode_frames(self.vae, image[None])[:, 0][None],
            face_latents=face_latents,
        )

    @torch.no_grad()
    def __call__(
        self,
        image: Frames,
        pose: Frames,
        reference_pose: Frames,
        face: Frames | None = None,
        num_inference_steps: int = 4,
        guidance_scale: float = 1.0,
        sampler: Sampler = "edge_renoise",
        seed: int = 0,
        on_step: Callable[[int], None] = lambda index: None,
    ) -> DanceOutput:
        """Animate `image` along `pose`; see `encode` for the shapes.

        Args:
            image: reference picture.
            pose: pose pictures of the driving clip.
            reference_pose: pose picture of the reference.
            face: face crop of the reference, or None.
            num_inference_steps: network calls (twice as many under guidance).
            guidance_scale: classifier-free guidance g; 1 is off, as a student wants it.
            sampler: the rule between two steps; a teacher always uses DDIM.
            seed: of the noise, which is drawn per frame.
            on_step: told the index of each finished step.
        """
        conditions = self.encode(image, pose, reference_pose, face)
        latents = self.denoise(
            conditions, num_inference_steps, guidance_scale, sampler, seed, on_step
        )
        return DanceOutput(decode_latents(self.vae, latents[0]), latents[0].cpu())

    @torch.no_grad()
    def denoise(
        self,
        conditions: Conditions,
        num_inference_steps: int,
        guidance_scale: float = 1.0,
        sampler: Sampler = "edge_renoise",
        seed: int = 0,
        on_step: Callable[[int], None] = lambda index: None,
    ) -> Tensor:
        """Sample float32 latents `(B, C, F, h, w)`; all clips share the noise."""
        reference = conditions.reference_latents
        frames = range(conditions.pose.shape[2])
        shape = (reference.shape[1], reference.shape[2], reference.shape[3])
        conditional = self.unet.encode_conditions(conditions)
        unconditional = None
        if guidance_scale != 1.0:
            unconditional = self.unet.encode_conditions(
                conditions, keep=torch.zeros(len(reference), device=reference.device)
            )

        def noise(*name: str | int) -> Tensor:
            drawn = frame_noise(shape, frames, self.config.noise_offset, seed, *name)
            return drawn.expand(len(reference), -1, -1, -1, -1).to(reference.device)

        def predict(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
            noisy_latents = noisy_latents.to(self.unet.dtype)
            velocity = self.unet(noisy_latents, timesteps, conditional)
            if unconditional is None:
                return velocity
            without = self.unet(noisy_latents, timesteps, unconditional)
            return guided(velocity, without, guidance_scale)

        return sample(
            predict,
            noise("initial"),
            self.plan(num_inference_steps, sampler),
            self.schedule.to(reference.device),
            lambda index: noise("step", index),
            on_step,
        )


def make_scheduler(config: ScheduleConfig) -> DDIMScheduler:
    """Return the diffusers scheduler that records `config` in a model folder."""
    return DDIMScheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
    )


def load_pipeline(folder: Path) -> DancePipeline:
    """Load a model folder in float32, ready for inference.

    Raises:
        InputError: the folder is no model folder, or of another format version.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError(
            f"{folder} must be a model folder, but it has no model_index.json.",
            hint="Give what `dancelcm train` or `distill` wrote, such as runs/.../model.",
        )
    version = _read_config(index).get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(
            f"The format version of {folder} must be {FORMAT_VERSION}, got {version}.",
            hint="Use the dancelcm version that wrote it, or train the model again.",
        )
    disable_progress_bar()  # three small files are no long work
    pipeline: DancePipeline = DancePipeline.from_pretrained(folder)
    for part in (pipeline, pipeline.unet, pipeline.vae):
        _forget_origin(part)
    pipeline.unet.eval().requires_grad_(False)
    pipeline.vae.eval().requires_grad_(False)
    return pipeline


def load_vae(folder: Path) -> PatchAutoencoder | AutoencoderKL:
    """Load the autoencoder of a model folder (its `vae/`) in float32, ready for inference."""
    config = folder / "vae" / "config.json"
    if not config.is_file():
        raise InputError(
            f"{folder} must be a model folder with an autoencoder, but it has no vae/config.json.",
            hint="Give the folder that `dancelcm train` wrote, such as runs/.../model.",
        )
    own = _read_config(config).get("_class_name") == PatchAutoencoder.__name__
    kind = PatchAutoencoder if own else AutoencoderKL
    vae = kind.from_pretrained(config.parent).eval().requires_grad_(False)
    _forget_origin(vae)
    return vae


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise InputError(f"{path} must be a JSON object.", hint="Copy the model again.")
    return config


def _forget_origin(part: Any) -> None:
    """Drop the path that diffusers notes on loading: saved again, it would tell of this machine."""
    part.register_to_config(_name_or_path="")
