"""The driving clip as it is stored: a video, or a folder with one picture a frame."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dancelcm_cli.data.footage import Footage, footage_sha256, open_footage
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.keypoints import annotation_path

FRAMES_PER_SECOND = 12.0  # of a folder of pictures, which has no rate of its own


def open_clip(driving: Path, folder_fps: float = FRAMES_PER_SECOND) -> Footage:
    """Look at a driving clip; `folder_fps` is the rate of a folder of pictures.

    Raises:
        InputError: it is no clip, or it has less than two frames.
    """
    clip = open_footage(driving, folder_fps)
    if clip.num_frames < 2:
        raise InputError(
            f"{driving} must have at least 2 frames, got {clip.num_frames}.",
            hint="Give a video in which somebody moves.",
        )
    return clip


def driving_sha256(driving: Path) -> str:
    """Return a hash of all that the motion of `driving` may be read from.

    Raises:
        InputError: a file cannot be opened.
    """
    annotation = annotation_path(driving)
    beside = [annotation] if annotation and annotation != driving else []
    hashes = map(footage_sha256, [driving, *beside])
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
