"""The forms in which programs hand pictures to the pipeline, and want them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from dancelcm_cli.core.conditioning import PosePictures
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.errors import InputError

OutputType = Literal["np", "pil", "pt"]
Picture = Frames | Image.Image
PICTURE = "a PIL image or a uint8 array (H, W, 3)"


def as_frame(picture: Picture) -> Frames:
    """Return a picture as `(H, W, 3)` uint8 RGB.

    Raises:
        InputError: it is neither a PIL image nor such an array.
    """
    frame = np.array(picture.convert("RGB") if isinstance(picture, Image.Image) else picture)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
        raise InputError(
            f"A picture must be {PICTURE}, got {frame.dtype} {frame.shape}.",
            hint="Convert it: (255 * picture).round().astype('uint8')",
        )
    return frame


def as_pose_pictures(poses: PosePictures | Sequence[Picture]) -> PosePictures:
    """Return the pose pictures of a clip as one array, or what draws them as it is.

    Raises:
        InputError: there are none, or they are no pictures of one size.
    """
    if not len(poses):
        raise InputError("`pose` must hold at least one picture, got none.")
    if isinstance(poses, list | tuple):
        frames = [as_frame(pose) for pose in poses]
        sizes = sorted({frame.shape[:2] for frame in frames})
        if len(sizes) > 1:
            raise InputError(f"The pictures of `pose` must have one size, got {sizes}.")
        return np.stack(frames)
    if isinstance(poses, np.ndarray):
        as_frame(poses[0])  # refuses what is none
    return poses  # type: ignore[return-value]


def in_form(frames: Frames, output_type: OutputType) -> Any:
    """Return uint8 frames `(F, H, W, 3)` as they are, as images, or as `(F, 3, H, W)` in [0, 1].

    Raises:
        InputError: there is no such form.
    """
    if output_type == "np":
        return frames
    if output_type == "pil":
        return [Image.fromarray(frame) for frame in frames]
    if output_type == "pt":
        return rearrange(torch.from_numpy(frames).float() / 255.0, "f h w c -> f c h w")
    raise InputError(f'output_type must be "np", "pil", "pt" or "latent", got {output_type!r}.')


def seed_from(generator: torch.Generator | None, seed: int) -> int:
    """Return the seed that a generator draws, which moves it on, or `seed` where there is none."""
    if generator is None:
        return seed
    drawn: Tensor = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    return int(drawn)
