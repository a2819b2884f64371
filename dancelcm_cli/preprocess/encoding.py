"""From a draft to the clip that is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from dancelcm_cli.config.schema import PreprocessConfig
from dancelcm_cli.core.image_encoder import encode_image
from dancelcm_cli.core.vae import encode_frames
from dancelcm_cli.data.clips import Clip
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.preprocess.filters import Frames
from dancelcm_cli.preprocess.jobs import Draft


class Encoder:
    """Encodes by one autoencoder (None where frames are stored) and CLIP's image tower, if any."""

    def __init__(self, vae: Any | None, image_encoder: Any | None) -> None:
        self._vae, self._image_encoder = vae, image_encoder

    def encode(self, draft: Draft) -> Clip:
        """Return the clip of a draft."""
        clip, face = draft.clip, draft.face
        if self._vae is None:
            return replace(clip, frames=draft.frames)
        latents = encode_frames(self._vae, draft.frames).half()
        face_latents = None if face is None else encode_frames(self._vae, face.image[None])[:, 0]
        return replace(
            clip,
            latents=latents,
            reference_latents=latents[:, clip.reference_index],
            face_latents=None if face_latents is None else face_latents.half(),
            face_embeds=None if face is None else self._image_embeds(face.image),
            # The picture before fitting, as UniAnimate shows it to CLIP.
            image_embeds=self._image_embeds(draft.photo),
        )

    def _image_embeds(self, picture: Frames) -> Tensor | None:
        if self._image_encoder is None:
            return None
        return encode_image(self._image_encoder, picture).half()


def check_sizes(config: PreprocessConfig, cell: int) -> None:
    """Check that the clips' sizes suit an autoencoder with the reduction `cell`.

    Raises:
        ConfigError: A size is no multiple of it.
    """
    for name in ("height", "width", "face_size"):
        value = getattr(config, name)
        if value % cell:
            raise ConfigError(
                f"preprocess.{name} must be a multiple of {cell}, the autoencoder's reduction,"
                f" got {value}.",
                hint=f"Pass --set preprocess.{name}={max(cell, round(value / cell) * cell)}",
            )
