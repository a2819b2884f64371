"""From a window of frames and its keypoints to the clip that is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dancelcm_cli.config.schema import PreprocessConfig
from dancelcm_cli.core.image_encoder import encode_image
from dancelcm_cli.core.vae import encode_frames, reduction
from dancelcm_cli.data.fitting import fit_frame, fit_keypoints
from dancelcm_cli.data.shards import Clip, make_clip_id
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.perception.face import FaceCropper
from dancelcm_cli.perception.keypoints import FACE, body_confidence
from dancelcm_cli.preprocess.motion import motion_mask
from dancelcm_cli.preprocess.windows import Window

Frames = NDArray[np.uint8]
Keypoints = NDArray[np.float32]


class ClipMaker:
    """Makes clips by one setting, one autoencoder (None where frames are stored) and CLIP.

    Args:
        config: The setting.
        vae: The autoencoder, or None.
        image_encoder: CLIP's image tower, where the model has one.

    Raises:
        ConfigError: A size is no multiple of the autoencoder's reduction.
    """

    def __init__(
        self, config: PreprocessConfig, vae: Any | None, image_encoder: Any | None = None
    ) -> None:
        self.config = config
        self._vae = vae
        self._image_encoder = image_encoder
        self._face_cropper = FaceCropper()
        if vae is not None:
            _check_sizes(config, reduction(vae))

    def make(
        self, source: str, fps: float, window: Window, frames: Frames, keypoints: Keypoints
    ) -> Clip:
        """Turn a window into a clip.

        Args:
            source: The video's name.
            fps: Frames per second of the window's frames.
            window: Which frames these are.
            frames: (F, H, W, 3) uint8 RGB as they are in the video.
            keypoints: (F, 134, 3) in units of those frames.
        """
        config = self.config
        size = (config.height, config.width)
        fitted = np.stack([fit_frame(frame, *size, config.fit) for frame in frames])
        points = fit_keypoints(keypoints, frames.shape[1:3], size, config.fit)
        best = choose_reference(keypoints)
        clip_id = make_clip_id(source, window.start)
        if self._vae is None:
            return Clip(
                clip_id, source, fps, window.start, points, best, points[best], frames=fitted
            )
        latents = encode_frames(self._vae, fitted).half()
        # The face comes from the video itself: after fitting it is a few pixels wide.
        face = self._face_cropper.crop(frames[best], config.face_size, keypoints[best])
        return Clip(
            clip_id,
            source,
            fps,
            window.start,
            points,
            best,
            points[best],
            latents=latents,
            reference_latents=latents[:, best],
            face_latents=(
                None if face is None else encode_frames(self._vae, face.image[None])[:, 0].half()
            ),
            face_embeds=None if face is None else self._image_embeds(face.image),
            # The picture before fitting, as UniAnimate shows it to CLIP.
            image_embeds=self._image_embeds(frames[best]),
            motion_mask=motion_mask(fitted, config.motion_threshold, reduction(self._vae)),
        )

    def _image_embeds(self, picture: Frames) -> Tensor | None:
        if self._image_encoder is None:
            return None
        return encode_image(self._image_encoder, picture).half()


def choose_reference(keypoints: Keypoints) -> int:
    """Return the index of the frame of (F, 134, 3) that shows the person best.

    That is the highest sum of the mean body score and the mean face score, so that a frame which
    shows the face wins over one from behind; of equals the first.
    """
    scores = [body_confidence(pose) + float(pose[FACE, 2].mean()) for pose in keypoints]
    return int(np.argmax(scores))


def _check_sizes(config: PreprocessConfig, cell: int) -> None:
    for name in ("height", "width", "face_size"):
        value = getattr(config, name)
        if value % cell:
            raise ConfigError(
                f"preprocess.{name} must be a multiple of {cell}, the autoencoder's reduction,"
                f" got {value}.",
                hint=f"Pass --set preprocess.{name}={max(cell, round(value / cell) * cell)}",
            )
