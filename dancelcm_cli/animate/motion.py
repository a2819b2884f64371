"""The driving motion, from whatever the user has: a dancer, drawn poses, or keypoints in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from dancelcm_cli.animate.driving import FRAMES_PER_SECOND, open_clip
from dancelcm_cli.animate.keypoint_files import SUFFIX, read_keypoints, saved_fps
from dancelcm_cli.animate.people import Keypoints, PersonFinder
from dancelcm_cli.animate.timing import ROUNDING, Selection, select_frames
from dancelcm_cli.config.schema import AnimateConfig
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.footage import Footage
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import is_pose_video
from dancelcm_cli.perception.keypoints import annotation_path, read_annotation
from dancelcm_cli.progress import Progress, SilentProgress

Kind = Literal["pose", "person", "keypoints"]
SAMPLE = 8  # frames that tell drawn poses from a person


@dataclass(frozen=True)
class Motion:
    """A dance: keypoints `(F, 134, 3)`, or, where poses are drawn in the clip itself, that clip.

    `people` is how many are seen at most; the keypoints are those of the most prominent one.
    """

    kind: Kind
    fps: Fraction  # of the dance as it is shown
    size: tuple[int, int]  # height and width of the driving frames, pixels
    indices: tuple[int, ...]  # of the frames in the clip
    clip: Footage | None  # None: only keypoints were given
    keypoints: Keypoints | None = None
    people: int = 1

    @property
    def num_frames(self) -> int:
        """F, the length of the dance."""
        return len(self.indices)

    @property
    def seconds(self) -> float:
        """How long the dance takes."""
        return float(self.num_frames / self.fps)

    def frames(self, numbers: Sequence[int]) -> Iterator[Frames]:
        """Yield the driving frames `(H, W, 3)` at `numbers` of the dance; black without a clip."""
        if self.clip is None:
            return iter([np.zeros((*self.size, 3), np.uint8)] * len(numbers))
        return self.clip.frames([self.indices[number] for number in numbers])


def read_motion(
    driving: Path,
    config: AnimateConfig,
    finder: PersonFinder,
    progress: Progress | None = None,
    indices: Sequence[int] | None = None,
) -> Motion:
    """Read the motion of a video, a folder of pictures or a file of keypoints.

    Under `--driving auto`, keypoints beside a video (dance.mp4: dance.npz) are taken where there
    are any; otherwise a look at the frames tells drawn poses from a person.

    Args:
        driving: The video, the folder or the .npz file.
        config: What it shows, and which of its frames are taken at which rate.
        finder: Who looks for the person.
        progress: Told of the search.
        indices: Exactly these frames of a clip, whatever `config` says.

    Raises:
        InputError: the file is unreadable or too long, or nobody is seen in it.
        ConfigError: the rate does not fit.
    """
    if _is_keypoint_file(driving):
        return _saved_motion(driving, config)
    clip = _open(driving, config)
    if indices is None:
        selection = select_frames(clip.times, clip.fps, config, str(driving))
    else:
        selection = Selection(tuple(indices), clip.fps)
    annotation = None if clip.pictures else annotation_path(driving)
    kind = _kind(clip, selection, annotation, config)
    shown = Motion(kind, selection.fps, (clip.height, clip.width), selection.indices, clip)
    if kind == "pose":
        return shown
    if kind == "keypoints":
        return replace(shown, keypoints=_annotated(clip, annotation, selection.indices))
    found = finder.in_clip(clip, selection.indices, progress or SilentProgress())
    if not found.somebody:
        raise InputError(
            f"{driving} must show a person from head to foot, but none was found.",
            hint="Choose another video, or say --driving pose if it shows drawn poses.",
        )
    return replace(shown, keypoints=found.keypoints, people=found.people)


def require_driving(driving: Path, config: AnimateConfig) -> None:
    """Refuse a driving clip that cannot be opened or is too long, without looking at its frames.

    Raises:
        InputError: the file is unreadable or too long.
        ConfigError: the rate does not fit.
    """
    if _is_keypoint_file(driving):
        _saved_motion(driving, config)
    else:
        clip = _open(driving, config)
        select_frames(clip.times, clip.fps, config, str(driving))


def _is_keypoint_file(driving: Path) -> bool:
    return driving.suffix.lower() == SUFFIX and not driving.is_dir()


def _open(driving: Path, config: AnimateConfig) -> Footage:
    return open_clip(driving, config.fps or FRAMES_PER_SECOND)


def _kind(
    clip: Footage, selection: Selection, annotation: Path | None, config: AnimateConfig
) -> Kind:
    if config.driving != "auto":
        return config.driving
    if annotation is not None:
        return "keypoints"
    step = -(-len(selection.indices) // SAMPLE)
    sample = np.stack(list(clip.frames(selection.indices[::step])))
    return "pose" if is_pose_video(sample) else "person"


def _saved_motion(path: Path, config: AnimateConfig) -> Motion:
    if config.driving not in ("auto", "keypoints"):
        raise InputError(
            f"A .npz file must be driven by its keypoints, got --driving {config.driving}.",
            hint="Leave out --driving, or name the video.",
        )
    if not path.exists():
        raise InputError(
            f"{path} must hold keypoints, but it does not exist.", hint="Check the spelling."
        )
    saved = read_keypoints(path)
    fps = saved.fps or (Fraction(config.fps).limit_denominator(1001) if config.fps else None)
    if fps is None:
        raise InputError(
            f"{path} must tell its frame rate, but it holds no `fps`.",
            hint="Type --fps with the rate of the video it was made of, such as --fps 30.",
        )
    times = np.arange(len(saved.keypoints)) / float(fps)
    selection = select_frames(times, fps, config, str(path))
    keypoints = saved.keypoints[list(selection.indices)]
    return Motion("keypoints", selection.fps, saved.size, selection.indices, None, keypoints)


def _annotated(clip: Footage, annotation: Path | None, indices: Sequence[int]) -> Keypoints:
    if annotation is None:
        raise InputError(
            f"{clip.path} must have its keypoints beside it, in a file of the suffix .npz.",
            hint="Leave out --driving keypoints to have them detected.",
        )
    keypoints = read_annotation(annotation, clip.height, clip.width)
    if len(keypoints) <= max(indices):
        raise InputError(
            f"{annotation} must annotate at least {max(indices) + 1} frames, got {len(keypoints)}.",
            hint="Move the file away to have the keypoints detected instead.",
        )
    rate = saved_fps(annotation)
    if rate is not None and not 1 / ROUNDING < rate / clip.fps < ROUNDING:
        raise InputError(
            f"{annotation} must be of {float(clip.fps):.4g} frames/s as its video, got {rate:.4g}.",
            hint="Give the file itself as DRIVING, or move it away.",
        )
    return keypoints[list(indices)]
