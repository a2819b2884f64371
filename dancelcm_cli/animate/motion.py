"""The driving motion, from whatever the user has: a dancer, drawn poses, or keypoints in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import AnimateConfig
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.images import is_picture, read_image
from dancelcm_cli.data.video import probe_video, read_frames
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import is_pose_video
from dancelcm_cli.perception.keypoints import (
    annotation_path,
    body_confidence,
    read_annotation,
)

Keypoints = NDArray[np.float32]
Kind = Literal["pose", "person", "keypoints"]
FRAMES_PER_SECOND = 12.0  # of a folder of pictures, which has no rate of its own
MIN_CONFIDENCE = 0.3  # mean body score below which nobody is seen, [0, 1]


@dataclass(frozen=True)
class Motion:
    """Poses: keypoints `(F, 134, 3)`, or, of a pose video, its pictures `(F, H, W, 3)`."""

    kind: Kind
    keypoints: Keypoints | None
    pictures: Frames | None
    fps: float  # of these frames
    size: tuple[int, int]  # height and width of the driving frames, pixels

    @property
    def num_frames(self) -> int:
        """F, the length of the clip."""
        poses = self.pictures if self.keypoints is None else self.keypoints
        return 0 if poses is None else len(poses)


def read_motion(
    driving: Path, config: AnimateConfig, detect: Callable[[Frames], Keypoints]
) -> Motion:
    """Read up to `config.num_frames` frames of motion from a video or a folder of pictures.

    Under `--driving auto`, keypoints beside the video (dance.mp4: dance.npz) are taken where there
    are any; otherwise a look at the frames tells drawn poses from a person.

    Raises:
        InputError: the file is unreadable, or nobody is seen in it.
    """
    frames, fps, indices = _read(driving, config)
    size = (frames.shape[1], frames.shape[2])
    annotation = annotation_path(driving) if driving.is_file() else None
    if config.driving == "keypoints" or (config.driving == "auto" and annotation is not None):
        return Motion("keypoints", _annotated(driving, annotation, size, indices), None, fps, size)
    if config.driving == "pose" or (config.driving == "auto" and is_pose_video(frames)):
        return Motion("pose", None, frames, fps, size)
    keypoints = detect(frames)
    if body_confidence(keypoints) < MIN_CONFIDENCE:
        raise InputError(
            f"{driving} must show a person from head to foot, but none was found.",
            hint="Choose another video, or say --driving pose if it shows drawn poses.",
        )
    return Motion("person", keypoints, None, fps, size)


def _read(driving: Path, config: AnimateConfig) -> tuple[Frames, float, Sequence[int]]:
    """Return frames, their rate, and their indices in the source."""
    pictures = _pictures_in(driving)
    length = len(pictures) if pictures else probe_video(driving).num_frames
    indices = range(0, length, config.frame_stride)[: config.num_frames]
    if pictures:
        images = [read_image(pictures[index]) for index in indices]
        sizes = sorted({f"{image.shape[1]} x {image.shape[0]}" for image in images})
        if len(sizes) > 1:
            raise InputError(
                f"The pictures in {driving} must be of one size, got {', '.join(sizes)}.",
                hint="Keep only the frames of one clip in that folder.",
            )
        return np.stack(images), FRAMES_PER_SECOND / config.frame_stride, indices
    frames, info = read_frames(driving, indices)
    return frames, float(info.fps / config.frame_stride), indices


def _pictures_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    pictures = sorted(path for path in folder.iterdir() if path.is_file() and is_picture(path))
    if not pictures:
        raise InputError(
            f"{folder} must be a video or a folder of pictures, but it holds no picture.",
            hint="Name a video file, such as dance.mp4.",
        )
    return pictures


def _annotated(
    driving: Path, annotation: Path | None, size: tuple[int, int], indices: Sequence[int]
) -> Keypoints:
    if annotation is None:
        raise InputError(
            f"{driving} must have its keypoints beside it, in a file of the suffix .npz.",
            hint="Leave out --driving keypoints to have them detected.",
        )
    keypoints = read_annotation(annotation, *size)
    if len(keypoints) <= indices[-1]:
        raise InputError(
            f"{annotation} must annotate at least {indices[-1] + 1} frames, got {len(keypoints)}.",
            hint="Move the file away to have the keypoints detected instead.",
        )
    return keypoints[list(indices)]
