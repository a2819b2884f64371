"""A diffusers pipeline that animates a picture.

pipe = DancePipeline.from_pretrained("assets/tiny/student")
frames = pipe(image, pose, num_inference_steps=4, output_type="pil").frames

`assets/examples/pipeline.py` is the whole of it. Devices, precision and offload are those of
diffusers: `pipe.to("cuda", torch.bfloat16)` or `pipe.enable_model_cpu_offload()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Tensor

from dancelcm_cli.config.schema import NoisePrior, Sampler, ScheduleConfig, TeacherGrid
from dancelcm_cli.core.clip_predictor import ClipPredictor, Execution
from dancelcm_cli.core.conditioning import (
    Appearance,
    ClipConditions,
    Conditions,
    PosePictures,
    StreamedConditions,
)
from dancelcm_cli.core.image_encoder import encode_image, require_image_encoder
from dancelcm_cli.core.noise import frame_noise
from dancelcm_cli.core.noise_prior import choose_timestep, noised_reference
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler, follow_windows
from dancelcm_cli.core.pictures import (
    OutputType,
    Picture,
    as_frame,
    as_pose_pictures,
    in_form,
    seed_from,
)
from dancelcm_cli.core.sampling import (
    OnStep,
    SamplingOptions,
    SamplingStep,
    go_on,
    sample,
    student_steps,
    teacher_steps,
)
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import solver_grid
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import (
    Frames,
    encode_frames,
    iter_decoded,
    require_divisible,
)
from dancelcm_cli.errors import ConfigError

FORMAT_VERSION = 1


# Told the pipeline, the index and timestep of a finished step, and its latents by their name.
StepCallback = Callable[["DancePipeline", int, int, dict[str, Tensor]], Mapping[str, Tensor]]


@dataclass
class DanceOutput(BaseOutput):  # type: ignore[misc]
    """Frames in the form that was asked for, and the scaled latents `(C, F, h, w)` behind them."""

    frames: Any
    latents: Tensor


class DancePipeline(DiffusionPipeline):  # type: ignore[misc]
    """Network, autoencoder and schedule, with what a student was trained for.

    `num_segments` is a student's K; 0 marks a teacher, which samples by plain DDIM. `grid_size` is
    the number of timesteps the student was trained at. A PeRFlow student brings its own scheduler.
    """

    model_cpu_offload_seq = "image_encoder->unet->vae"
    _optional_components = ["image_encoder"]  # noqa: RUF012 - diffusers' own convention

    def __init__(
        self,
        unet: DanceUNet,
        vae: PatchAutoencoder | AutoencoderKL,
        scheduler: DDIMScheduler | PeRFlowScheduler,
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

    def plan(self, options: SamplingOptions) -> list[SamplingStep]:
        """Return the steps, a network call each, by which noise becomes latents.

        Raises:
            ConfigError: this model cannot take that many steps, or start as it is told to.
        """
        num_steps = options.num_inference_steps
        num_timesteps = self.scheduler.config.num_train_timesteps
        prior = self._prior_timestep(options)
        first = prior if options.noise_prior == "consistent" else None
        if isinstance(self.scheduler, PeRFlowScheduler):
            self.scheduler.set_timesteps(num_steps)
            starts = self.scheduler.timesteps.tolist()
            return [SamplingStep(t, s, s) for t, s in zip(starts, [*starts[1:], 0], strict=True)]
        if self.config.num_segments:
            return student_steps(
                num_steps,
                self.config.num_segments,
                self.config.grid_size,
                num_timesteps,
                options.sampler,
                first,
            )
        if first is None:
            return teacher_steps(num_steps, num_timesteps, options.teacher_grid)
        if options.teacher_grid != "trailing":
            raise ConfigError(
                "animate.teacher_grid must be trailing with the consistent noise prior, got"
                f" {options.teacher_grid}.",
                hint="UniAnimate's prior is the other: --set animate.noise_prior=legacy.",
            )
        return teacher_steps(num_steps, first + 1)

    def _prior_timestep(self, options: SamplingOptions) -> int | None:
        """Return the timestep to which the prior noises the reference; None without a prior."""
        if options.noise_prior == "none":
            return None
        if isinstance(self.scheduler, PeRFlowScheduler):
            raise ConfigError(
                "animate.noise_prior must be none for a PeRFlow student, got"
                f" {options.noise_prior}.",
                hint="It starts at pure noise. Type --set animate.noise_prior=none.",
            )
        num_timesteps = self.scheduler.config.num_train_timesteps
        trained: Sequence[int] = range(1, num_timesteps)
        if self.config.num_segments:
            trained = solver_grid(self.config.grid_size, num_timesteps).tolist()
        return choose_timestep(options.prior_timestep, trained)

    def encode(
        self,
        image: Frames,
        pose: Frames,
        reference_pose: Frames,
        face: Frames | None = None,
        photo: Frames | None = None,
    ) -> Conditions:
        """Bring pictures to the network's inputs, as a batch of one.

        Args:
            image: reference picture `(H, W, 3)` uint8 RGB.
            pose: pose pictures `(F, H, W, 3)` uint8 RGB of the driving clip.
            reference_pose: pose picture `(H, W, 3)` of the reference.
            face: see `encode_appearance`.
            photo: see `encode_appearance`.

        Raises:
            InputError: the network cannot halve this size as often as it does.
            WeightsMissingError: the network needs an image encoder, and the model has none.
        """
        return self.encode_appearance(image, face, photo).posed(pose, reference_pose)

    def encode_appearance(
        self, image: Frames, face: Frames | None = None, photo: Frames | None = None
    ) -> Appearance:
        """Bring all but the poses to the network's inputs, as a batch of one.

        Args:
            image: reference picture `(H, W, 3)` uint8 RGB.
            face: face crop `(S, S, 3)` of the reference, or None.
            photo: the reference before it was fitted to `(H, W)`, for the image encoder; None
                shows it `image`.

        Raises:
            InputError: the network cannot halve this size as often as it does.
            WeightsMissingError: the network needs an image encoder, and the model has none.
        """
        require_image_encoder(self.unet.config, self.image_encoder)
        require_divisible(image.shape[0], image.shape[1], self.vae, self.unet.config)
        return Appearance(
            reference_latents=self._encode_frame(image),
            image_embeds=self._image_embeds(image if photo is None else photo),
            face_latents=None if face is None else self._encode_frame(face),
            face_embeds=self._image_embeds(face),
        )

    def _encode_frame(self, frame: Frames) -> Tensor:
        return encode_frames(self.vae, frame[None], device=self._execution_device)[:, 0][None]

    def _image_embeds(self, picture: Frames | None) -> Tensor | None:
        if picture is None or self.image_encoder is None:
            return None
        return encode_image(self.image_encoder, picture)[None]

    @torch.no_grad()
    def __call__(
        self,
        image: Picture,
        pose: PosePictures | Sequence[Picture],
        reference_pose: Picture | None = None,
        face: Picture | None = None,
        photo: Picture | None = None,
        num_inference_steps: int = 4,
        guidance_scale: float = 1.0,
        sampler: Sampler = "edge_renoise",
        seed: int = 0,
        generator: torch.Generator | None = None,
        output_type: OutputType | Literal["latent"] = "np",
        callback_on_step_end: StepCallback | None = None,
        noise_prior: NoisePrior = "none",
        prior_timestep: int = 0,
        teacher_grid: TeacherGrid = "trailing",
        window: int = 0,
        overlap: int = 0,
        decode_chunk: int = 8,
        temperature: float = 1.0,
    ) -> DanceOutput:
        """Animate `image` along `pose`.

        Pictures are PIL images or uint8 arrays `(H, W, 3)`, all of one size but for `face` and
        `photo`.

        Args:
            image: reference picture.
            pose: pose pictures of the driving clip.
            reference_pose: pose picture of the reference; None: it stands as the clip begins.
            face: face crop of the reference, or None.
            photo: the reference before it was fitted to the model's size, or None.
            num_inference_steps: network calls (twice as many under guidance).
            guidance_scale: classifier-free guidance g; 1 is off, as a student wants it.
            sampler: the rule between two steps; a teacher always uses DDIM, and a PeRFlow student
                its own.
            seed: of the noise, which is drawn per frame.
            generator: draws the seed where it is given.
            output_type: of the frames: a uint8 array `(F, H, W, 3)`, a list of PIL images, a tensor
                `(F, 3, H, W)` in [0, 1], or "latent": none, for who decodes the latents himself.
            callback_on_step_end: called as `callback(pipeline, index, timestep, {"latents":
                latents})` after each step; latents `(B, C, F, h, w)` in the mapping that it returns
                take their place.
            noise_prior: start from the reference in noise; see `noise_prior.py`.
            prior_timestep: how noisy it is then; 0 is the trained timestep nearest to 949.
            teacher_grid: the timesteps of a teacher; see `teacher_steps`.
            window: frames that the network sees at once; 0 for all of them.
            overlap: frames that neighbouring windows share.
            decode_chunk: frames that the autoencoder turns into pixels at once.
            temperature: scale of the noise that sampling starts from and that its steps add.

        Raises:
            InputError: a picture is none, or the network cannot halve its size.
            ConfigError: this model cannot sample like that.
        """
        options = SamplingOptions(
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            sampler=sampler,
            teacher_grid=teacher_grid,
            noise_prior=noise_prior,
            prior_timestep=prior_timestep,
            window=window,
            overlap=overlap,
            seed=seed_from(generator, seed),
            temperature=temperature,
        )
        poses = as_pose_pictures(pose)
        still = self.encode(
            as_frame(image),
            poses[:1],
            poses[:1][0] if reference_pose is None else as_frame(reference_pose),
            None if face is None else as_frame(face),
            None if photo is None else as_frame(photo),
        )
        timesteps = [step.start for step in self.plan(options)]

        def tell(index: int, latents: Tensor) -> Tensor | None:
            if callback_on_step_end is None:
                return None
            told = callback_on_step_end(self, index, timesteps[index], {"latents": latents})
            return told.get("latents")

        latents = self.denoise(StreamedConditions(still, poses), options, tell)[0]
        frames = None
        if output_type != "latent":
            decoded = np.stack(list(self.decode(latents, decode_chunk)))
            frames = in_form(decoded, output_type)
        self.maybe_free_model_hooks()
        return DanceOutput(frames, latents.cpu())

    @torch.no_grad()
    def denoise(
        self,
        conditions: ClipConditions,
        options: SamplingOptions,
        on_step: OnStep = go_on,
        execution: Execution | None = None,
    ) -> Tensor:
        """Sample float32 latents `(B, C, F, h, w)`; all clips share the noise.

        Raises:
            ConfigError: this model cannot sample as `options` say.
            OutOfMemoryError: a window of the network does not fit into the memory.
        """
        steps = self.plan(options)
        execution = replace(
            execution or Execution(), make_room=self.make_room, device=self._execution_device
        )
        reference = conditions.reference_latents.to(execution.device)
        frames = range(conditions.num_frames)
        shape = (reference.shape[1], reference.shape[2], reference.shape[3])
        predict = ClipPredictor(self.unet, conditions, options, execution)

        def noise(*name: str | int) -> Tensor:
            drawn = frame_noise(shape, frames, self.config.noise_offset, options.seed, *name)
            drawn = options.temperature * drawn
            return drawn.expand(len(reference), -1, -1, -1, -1).to(reference.device)

        schedule = self.schedule.to(reference.device)
        begun, timestep = execution.begun, self._prior_timestep(options)
        first = 0 if begun is None else begun.steps
        start = noise("initial") if begun is None else begun.latents.to(reference.device)
        if isinstance(self.scheduler, PeRFlowScheduler):
            return follow_windows(self.scheduler, predict, start, len(steps), on_step, first)
        if timestep is not None and begun is None:
            start = noised_reference(reference, start, timestep, schedule)
        return sample(
            predict, start, steps, schedule, lambda index: noise("step", index), on_step, first
        )

    def decode(
        self, latents: Tensor, chunk: int = 8, decoder: AutoencoderTiny | None = None
    ) -> Iterator[Frames]:
        """Yield the frames `(H, W, 3)` uint8 of latents `(C, F, h, w)` one by one.

        `decoder` takes the place of the autoencoder whose latents it reads.

        Raises:
            OutOfMemoryError: a single frame does not fit into the memory.
        """
        device = self._execution_device
        return iter_decoded(decoder or self.vae, latents, chunk, self.make_room, device)

    def make_room(self) -> bool:
        """Keep networks that are not at work on the CPU from now on; return whether that is new."""
        if self._execution_device.type == "cpu" or getattr(self, "_all_hooks", None):
            return False
        self.enable_model_cpu_offload(device=self._execution_device)
        return True
