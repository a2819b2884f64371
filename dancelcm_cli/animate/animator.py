"""One model, ready to animate picture after picture."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.animate.motion import Motion
from dancelcm_cli.animate.people import Keypoints, PersonFinder
from dancelcm_cli.animate.posing import Posing, bring_together
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.sampling import SamplingOptions, warn_of_few_steps
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.perception.face import FaceCropper


@dataclass(frozen=True)
class Rendering:
    """The frames `(F, H, W, 3)` of an animation and the poses they follow, at the model's size."""

    frames: Frames
    poses: Frames
    has_face: bool


class Animator:
    """Animates pictures with the model folder `model` under `recipe`.

    Detectors and networks are loaded when they are first needed, and kept.
    """

    def __init__(self, model: Path, recipe: Recipe) -> None:
        self.finder = PersonFinder(recipe.animate.pose_detector)
        self._pipeline = load_pipeline(model).to(pick_device(recipe.device))
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
        config, pipeline = recipe.animate, self._pipeline
        self.recipe = recipe
        self.size = (recipe.preprocess.height, recipe.preprocess.width)
        pipeline.plan(
            SamplingOptions(
                config.steps,
                sampler=config.sampler,
                teacher_grid=config.teacher_grid,
                noise_prior=config.noise_prior,
                prior_timestep=config.prior_timestep,
            )
        )
        warn_of_few_steps(config.steps, pipeline.config.num_segments)

    def render(
        self,
        image: Frames,
        motion: Motion,
        on_step: Callable[[int], None] = lambda index: None,
        reference_keypoints: Keypoints | None = None,
    ) -> Rendering:
        """Animate the person in `image` `(H, W, 3)` along `motion`.

        `reference_keypoints` `(134, 3)` are those of `image` where it is a frame of the driving
        clip itself, so that nothing is aligned; without them they are detected.

        Raises:
            InputError: nobody is seen in `image`.
        """
        posing = bring_together(image, motion, self.recipe, self.finder, reference_keypoints)
        return self.render_posing(image, posing, on_step)

    def render_posing(
        self, image: Frames, posing: Posing, on_step: Callable[[int], None] = lambda index: None
    ) -> Rendering:
        """Animate the person in `image` `(H, W, 3)`, which `posing` is about."""
        config = self.recipe.animate
        picture = fit_frame(image, *self.size, posing.fit)
        poses = posing.poses(range(posing.motion.num_frames))
        face = self._face(image, posing.keypoints)
        output = self._pipeline(
            picture,
            poses,
            posing.reference_pose,
            face,
            image,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            sampler=config.sampler,
            teacher_grid=config.teacher_grid,
            noise_prior=config.noise_prior,
            prior_timestep=config.prior_timestep,
            window=config.window,
            overlap=config.overlap,
            seed=self.recipe.seed,
            on_step=on_step,
        )
        return Rendering(output.frames, poses, face is not None)

    def _face(self, image: Frames, keypoints: Keypoints) -> Frames | None:
        if self._pipeline.unet.face_projector is None:
            return None
        crop = FaceCropper().crop(image, self.recipe.preprocess.face_size, keypoints)
        return None if crop is None else crop.image
