"""One model, ready to animate picture after picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from dancelcm_cli.ahead import ahead
from dancelcm_cli.animate.appearances import Appearances
from dancelcm_cli.animate.motion import Motion
from dancelcm_cli.animate.people import Keypoints, PersonFinder
from dancelcm_cli.animate.posing import Posing, bring_together
from dancelcm_cli.animate.small_decoder import load_small_decoder
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.clip_predictor import Denoising, Execution
from dancelcm_cli.core.compilation import compile_regions
from dancelcm_cli.core.conditioning import StreamedConditions
from dancelcm_cli.core.device import inference_dtype, pick_device, place
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.core.sampling import SamplingOptions, warn_of_few_steps
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.core.windows import WindowPlan
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.perception.face import FaceCropper

OnProgress = Callable[[Denoising], None]
CHUNK = 32  # poses that are drawn at once


def _ignore(denoising: Denoising) -> None: ...


@dataclass(frozen=True)
class Rendering:
    """An animation at the model's size, which becomes pixels when it is asked for.

    `latents` are `(C, F, h, w)`; `posing` holds the poses that it follows.
    """

    latents: Tensor
    posing: Posing
    has_face: bool
    decode: Callable[[Tensor], Iterator[Frames]]

    def film(self) -> Iterator[Frames]:
        """Yield the frames `(H, W, 3)` one by one."""
        return self.decode(self.latents)

    def pose_film(self) -> Iterator[Frames]:
        """Yield the poses `(H, W, 3)` one by one."""
        for start in range(0, len(self.posing), CHUNK):
            yield from self.posing[start : start + CHUNK]

    @property
    def frames(self) -> Frames:
        """All frames `(F, H, W, 3)`."""
        return np.stack(list(self.film()))

    @property
    def poses(self) -> Frames:
        """All poses `(F, H, W, 3)`."""
        return np.stack(list(self.pose_film()))


class Animator:
    """Animates pictures with the model folder `model` under `recipe`.

    Detectors and networks are loaded when they are first needed, and kept.
    """

    def __init__(self, model: Path, recipe: Recipe) -> None:
        self.finder = PersonFinder(recipe.animate.pose_detector)
        device = pick_device(recipe.device)
        dtype = inference_dtype(recipe.animate.precision, device)
        self.pipeline = place(load_pipeline(model), device, dtype)
        if recipe.animate.compile:
            compile_regions(self.pipeline.unet)
            compile_regions(self.pipeline.vae)
        if recipe.animate.offload:
            self.pipeline.make_room()
        self._appearances = Appearances(self.pipeline)
        self._take(recipe)

    def with_recipe(self, recipe: Recipe) -> Animator:
        """Return an animator with the same networks, on the same device, under another recipe.

        Raises:
            ConfigError: the model cannot take that number of steps, or start as it is told to.
        """
        other = copy(self)
        other._take(recipe)
        return other

    def _take(self, recipe: Recipe) -> None:
        config = recipe.animate
        self.recipe = recipe
        self.size = (recipe.preprocess.height, recipe.preprocess.width)
        self.options = SamplingOptions(
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            sampler=config.sampler,
            teacher_grid=config.teacher_grid,
            noise_prior=config.noise_prior,
            prior_timestep=config.prior_timestep,
            window=config.window,
            overlap=config.overlap,
            seed=recipe.seed,
            temperature=config.temperature,
        )
        self.num_steps = len(self.pipeline.plan(self.options))
        self.small_decoder = self._small_decoder() if config.small_decoder else None
        warn_of_few_steps(config.steps, self.pipeline.config.num_segments)

    def plan(self, num_frames: int) -> WindowPlan:
        """Return the windows by which a clip of so many frames is made."""
        return WindowPlan(num_frames, self.options.window, self.options.overlap, self.num_steps)

    def render(
        self,
        image: Frames,
        motion: Motion,
        on_progress: OnProgress = _ignore,
        reference_keypoints: Keypoints | None = None,
    ) -> Rendering:
        """Animate the person in `image` `(H, W, 3)` along `motion`.

        `reference_keypoints` `(134, 3)` are those of `image` where it is a frame of the driving
        clip itself, so that nothing is aligned; without them they are detected.

        Raises:
            InputError: nobody is seen in `image`.
        """
        posing = bring_together(image, motion, self.recipe, self.finder, reference_keypoints)
        return self.render_posing(image, posing, on_progress)

    def render_posing(
        self,
        image: Frames,
        posing: Posing,
        on_progress: OnProgress = _ignore,
        begun: Denoising | None = None,
        processes: Processes = ALONE,
    ) -> Rendering:
        """Animate the person in `image` `(H, W, 3)`, which `posing` is about.

        `on_progress` is told how far it has come, and `begun` goes on from there; `processes` share
        the windows of a long clip.
        """
        config = self.recipe.animate
        conditions, has_face = self.encode(image, posing)

        def tell(index: int, latents: Tensor) -> None:
            on_progress(Denoising(index + 1, latents))

        execution = Execution(config.windows_at_once, processes, begun, on_progress)
        latents = self.pipeline.denoise(conditions, self.options, tell, execution)[0]
        return Rendering(latents, posing, has_face, self.decode)

    def decode(self, latents: Tensor) -> Iterator[Frames]:
        """Yield the frames `(H, W, 3)` of latents `(C, F, h, w)` one by one.

        A thread decodes the next chunk while the frames of one are taken: they are brought to
        shape and handed to the video encoder, a process of its own, meanwhile. With the network
        decoding does not overlap: the windows are fused in every step, so that no frame is done
        before the last step, and both would only share the same device.
        """
        chunk = self.recipe.animate.decode_chunk
        return ahead(self.pipeline.decode(latents, chunk, self.small_decoder), chunk)

    def encode(self, image: Frames, posing: Posing) -> tuple[StreamedConditions, bool]:
        """Return what the network is told, and whether a face is part of it."""
        picture = fit_frame(image, *self.size, posing.fit)
        face = self._face(image, posing.keypoints)
        appearance = self._appearances.of(picture, face, image)
        still = appearance.posed(posing[:1], posing.reference_pose)
        return StreamedConditions(still, posing), face is not None

    def idle_network_bytes(self) -> int:
        """Return what an offload takes off the device: all networks but the largest."""
        parts = [part for part in self.pipeline.components.values() if isinstance(part, nn.Module)]
        sizes = [sum(p.numel() * p.element_size() for p in part.parameters()) for part in parts]
        on_cpu = self.pipeline.unet.device.type == "cpu"
        return 0 if on_cpu else sum(sizes) - max(sizes)

    def _small_decoder(self) -> AutoencoderTiny | None:
        """Return TAESD beside the network; None where it was not fetched or does not fit."""
        decoder = load_small_decoder(self.pipeline.vae)
        if decoder is not None:
            nn.Module.to(decoder, self.pipeline.unet.device, self.pipeline.unet.dtype)
        return decoder

    def _face(self, image: Frames, keypoints: Keypoints) -> Frames | None:
        if self.pipeline.unet.face_projector is None:
            return None
        crop = FaceCropper().crop(image, self.recipe.preprocess.face_size, keypoints)
        return None if crop is None else crop.image
