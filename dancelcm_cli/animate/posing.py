"""The person of the picture and the dance, brought together before the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dancelcm_cli.animate.motion import Motion
from dancelcm_cli.animate.people import Found, Keypoints, PersonFinder
from dancelcm_cli.config.schema import Fit, Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.fitting import fit_frame, fit_keypoints
from dancelcm_cli.data.footage import FootageReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_pose, draw_poses
from dancelcm_cli.perception.retarget import align_keypoints


@dataclass(frozen=True)
class Posing:
    """A picture with its keypoints `(134, 3)`, and the poses that it is to take."""

    keypoints: Keypoints
    people: int  # that are seen in the picture
    motion: Motion
    aligned: Keypoints | None  # (F, 134, 3) in the frame of the result; None: drawn in the clip
    reference: Keypoints  # (134, 3) in the frame of the result
    size: tuple[int, int]  # height and width of the result, pixels
    fit: Fit

    @property
    def reference_pose(self) -> Frames:
        """The drawn pose of the picture `(H, W, 3)`."""
        return draw_pose(self.reference, *self.size)

    def __len__(self) -> int:
        """F, the length of the dance."""
        return self.motion.num_frames

    def __getitem__(self, frames: slice) -> Frames:
        """Return the drawn poses `(n, H, W, 3)` of a stretch of the dance."""
        return self.poses(range(len(self))[frames])

    def poses(self, numbers: Sequence[int]) -> Frames:
        """Return the drawn poses `(n, H, W, 3)` at `numbers` of the dance."""
        if self.aligned is not None:
            return draw_poses(self.aligned[list(numbers)], *self.size)
        return self._in_clip.poses(numbers)

    @cached_property
    def _in_clip(self) -> _PosesInClip:
        return _PosesInClip(self.motion, self.size, self.fit)


class _PosesInClip:
    """Poses that are drawn in the driving clip itself, brought to the size of the result.

    Windows overlap: what was asked for last is kept for the next one, so that of a long clip no
    frame is decoded twice while it is gone through.
    """

    def __init__(self, motion: Motion, size: tuple[int, int], fit: Fit) -> None:
        self._motion, self._size, self._fit = motion, size, fit
        self._kept: dict[int, Frames] = {}

    def poses(self, numbers: Sequence[int]) -> Frames:
        """Return the poses `(n, H, W, 3)` at `numbers` of the dance."""
        kept = self._kept
        self._kept = {n: kept[n] if n in kept else self._read(n) for n in numbers}
        return np.stack([self._kept[number] for number in numbers])

    def _read(self, number: int) -> Frames:
        frame = self._reader.frame(self._motion.indices[number])
        return fit_frame(frame, *self._size, self._fit)

    @cached_property
    def _reader(self) -> FootageReader:
        assert self._motion.clip is not None  # or there were keypoints to draw
        return FootageReader(self._motion.clip)


def bring_together(
    image: Frames,
    motion: Motion,
    recipe: Recipe,
    finder: PersonFinder,
    reference_keypoints: Keypoints | None = None,
) -> Posing:
    """Find the person in `image` `(H, W, 3)` and fit the dance to its proportions.

    `reference_keypoints` `(134, 3)` are those of `image` where it is a frame of the driving clip
    itself, so that nothing is to be found or fitted.

    Raises:
        InputError: nobody is seen in `image`.
    """
    height, width = recipe.preprocess.height, recipe.preprocess.width
    picture_size, fit = (image.shape[0], image.shape[1]), recipe.preprocess.fit
    if reference_keypoints is None:
        found = _person_in(image, finder)
        keypoints, people, align = found.keypoints[0], found.people, recipe.animate.align
    else:
        keypoints, people, align = reference_keypoints, 1, "none"
    aligned = None
    if motion.keypoints is not None:
        aligned = align_keypoints(
            motion.keypoints,
            keypoints,
            align,
            driving_aspect=motion.size[1] / motion.size[0],
            reference_aspect=picture_size[1] / picture_size[0],
        )
        aligned = fit_keypoints(aligned, picture_size, (height, width), fit)
    reference = fit_keypoints(keypoints, picture_size, (height, width), fit)
    return Posing(keypoints, people, motion, aligned, reference, (height, width), fit)


def _person_in(image: Frames, finder: PersonFinder) -> Found:
    found = finder.in_picture(image)
    if not found.somebody:
        raise InputError(
            "The reference picture must show a person from head to foot, but none was found.",
            hint="Choose a picture of one whole person, well lit and not too small.",
        )
    return found


def shown_size(image: Frames, size: tuple[int, int], fit: Fit) -> tuple[int, int]:
    """Return height and width of the frames as they are shown: the model's own, or unsqueezed.

    A squeezed frame gets the aspect ratio of the picture `image` `(H, W, 3)` back, at its height.
    """
    height, width = size
    if fit == "squash":
        width = max(2, 2 * round(height * image.shape[1] / image.shape[0] / 2))
    return height, width
