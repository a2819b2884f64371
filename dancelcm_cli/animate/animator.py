"""One model, ready to animate picture after picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dancelcm_cli.animate.motion import MIN_CONFIDENCE, Keypoints, Motion
from dancelcm_cli.config.schema import Alignment, Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.pipeline import load_pipeline
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.fitting import fit_frame, fit_keypoints
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_pose, draw_poses
from dancelcm_cli.perception.face import FaceCropper
from dancelcm_cli.perception.keypoints import PoseDetector, body_confidence, load_detector
from dancelcm_cli.perception.retarget import align_keypoints


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
        self.recipe = recipe
        self.size = (recipe.preprocess.height, recipe.preprocess.width)
        self._pipeline = load_pipeline(model).to(pick_device(recipe.device))

    def detect(self, frames: Frames) -> Keypoints:
        """Return the keypoints `(F, 134, 3)` of frames `(F, H, W, 3)`."""
        return self._detector.detect(frames)

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
        config, fit = self.recipe.animate, self.recipe.preprocess.fit
        keypoints = self._person_in(image) if reference_keypoints is None else reference_keypoints
        picture_size = (image.shape[0], image.shape[1])
        picture = fit_frame(image, *self.size, fit)
        reference_pose = draw_pose(
            fit_keypoints(keypoints, picture_size, self.size, fit), *self.size
        )
        align = self.recipe.animate.align if reference_keypoints is None else "none"
        poses = self._poses(motion, keypoints, picture_size, align)
        face = self._face(image, keypoints)
        output = self._pipeline(
            picture,
            poses,
            reference_pose,
            face,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            sampler=config.sampler,
            seed=self.recipe.seed,
            on_step=on_step,
        )
        return Rendering(output.frames, poses, face is not None)

    def _poses(
        self,
        motion: Motion,
        reference: Keypoints,
        picture_size: tuple[int, int],
        align: Alignment,
    ) -> Frames:
        """Return the pose pictures that drive the model, fitted to the reference's figure."""
        fit = self.recipe.preprocess.fit
        if motion.keypoints is None:
            assert motion.pictures is not None
            return np.stack([fit_frame(frame, *self.size, fit) for frame in motion.pictures])
        aligned = align_keypoints(
            motion.keypoints,
            reference,
            align,
            driving_aspect=motion.size[1] / motion.size[0],
            reference_aspect=picture_size[1] / picture_size[0],
        )
        return draw_poses(fit_keypoints(aligned, picture_size, self.size, fit), *self.size)

    def _person_in(self, image: Frames) -> Keypoints:
        keypoints: Keypoints = self.detect(image[None])[0]
        if body_confidence(keypoints) < MIN_CONFIDENCE:
            raise InputError(
                "The reference picture must show a person from head to foot, but none was found.",
                hint="Choose a picture of one whole person, well lit and not too small.",
            )
        return keypoints

    def _face(self, image: Frames, keypoints: Keypoints) -> Frames | None:
        if self._pipeline.unet.face_projector is None:
            return None
        crop = FaceCropper().crop(image, self.recipe.preprocess.face_size, keypoints)
        return None if crop is None else crop.image

    @cached_property
    def _detector(self) -> PoseDetector:
        name = self.recipe.animate.pose_detector
        name = "blazepose" if name in ("auto", "annotation") else name
        return load_detector(name, bundled(name))
