"""The pose pictures of a shard folder: drawn whenever they are asked for, or once for all.

A pose takes a millisecond to draw, which a GPU would wait for. Kept, all pictures of a folder lie
in one array beside its shards, in the order of its clips, which every process maps into its memory:
1.8 MB for a clip of 24 frames of 192 x 128.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.atomic import atomic_path, remove_temporaries_of
from dancelcm_cli.data.clips import Clip
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import DISK_FULL, InputError, refused_by_system
from dancelcm_cli.interrupt import serve_parent
from dancelcm_cli.perception.drawing import draw_pose, draw_poses
from dancelcm_cli.progress import Progress, SilentProgress

CLIPS_AT_A_TIME = 16  # that a process draws


class PosePictures(Protocol):
    """Where the pose pictures `(F, H, W, 3)` of clips come from."""

    def of(self, index: int, clip: Clip, frames: slice, reference: int | None) -> Frames:
        """Return those of `frames` of `clip`, the folder's `index`-th, and of its reference last.

        `reference` is a frame of the clip; None is the stored reference.
        """
        ...

    def prepare(self, progress: Progress) -> None:
        """Do what takes long before the first picture is asked for."""
        ...


class DrawnPoses:
    """Draws pictures of `size` (height, width) whenever they are asked for."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def prepare(self, progress: Progress) -> None:
        """See `PosePictures`."""

    def of(self, index: int, clip: Clip, frames: slice, reference: int | None) -> Frames:
        """See `PosePictures`."""
        last = clip.reference_keypoints if reference is None else clip.keypoints[reference]
        return draw_poses(np.concatenate([clip.keypoints[frames], last[None]]), *self.size)


class KeptPoses:
    """Pictures of `size` (height, width) in a file beside the shards, drawn when it is missing.

    Processes that ask at the same time wait for the first.

    Raises:
        InputError: the shard folder cannot be written to.
    """

    def __init__(self, shards: ShardReader, size: tuple[int, int]) -> None:
        self.shards, self.size = shards, size
        clips = "".join(row.sha256 for row in shards.rows)
        key = hashlib.sha256(clips.encode()).hexdigest()[:8]
        self.path = shards.folder / f"poses-{size[0]}x{size[1]}-{key}.npy"
        # Where in the file each clip begins, and where the last one ends.
        self._starts = list(accumulate((row.num_frames for row in shards.rows), initial=0))

    def of(self, index: int, clip: Clip, frames: slice, reference: int | None) -> Frames:
        """See `PosePictures`."""
        pictures = self._pictures[self._starts[index] : self._starts[index + 1]]
        if reference is None:
            last = draw_pose(clip.reference_keypoints, *self.size)
        else:
            last = pictures[reference]
        return np.concatenate([pictures[frames], last[None]])

    def prepare(self, progress: Progress) -> None:
        """Make the file, unless it is there."""
        try:
            with FileLock(self.path.with_name(f".{self.path.name}.lock")):
                if not self.path.exists():
                    remove_temporaries_of(self.path)
                    with atomic_path(self.path) as temporary:
                        self._draw_into(temporary, progress)
        except OSError as error:
            if error.errno in DISK_FULL:
                hint = "Free some space there, or type --set compute.keep_poses=false."
                raise refused_by_system(error, hint) from error
            raise InputError(
                f"{self.shards.folder} must take a file of drawn poses, got {error}.",
                hint="Type --set compute.keep_poses=false to draw them in every step.",
            ) from error

    @cached_property
    def _pictures(self) -> NDArray[np.uint8]:
        self.prepare(SilentProgress())
        pictures: NDArray[np.uint8] = np.load(self.path, mmap_mode="r")
        return pictures

    def _draw_into(self, path: Path, progress: Progress) -> None:
        shape = (self._starts[-1], *self.size, 3)
        open_memmap(path, "w+", np.uint8, shape).flush()  # of a size that takes no room yet
        firsts = range(0, len(self.shards), CLIPS_AT_A_TIME)
        # Forked children of a process with threads may hang, so they are spawned.
        spawn = get_context("spawn")
        with ProcessPoolExecutor(mp_context=spawn, initializer=serve_parent) as pool:
            jobs = [
                pool.submit(_draw_clips, path, self.shards.folder, first, self._starts[first])
                for first in firsts
            ]
            for job in progress.track(jobs, "Drawing poses"):
                job.result()


def _draw_clips(path: Path, folder: Path, first: int, start: int) -> None:
    """Draw the clips of the shards in `folder` from the `first` on into `path`, from `start` on."""
    shards, pictures = ShardReader(folder), np.load(path, mmap_mode="r")
    with path.open("r+b") as file:  # a full disk is an error of a file, but the end of a mapping
        file.seek(pictures.offset + start * pictures[0].nbytes)
        for index in range(first, min(first + CLIPS_AT_A_TIME, len(shards))):
            file.write(draw_poses(shards[index].keypoints, *pictures.shape[1:3]).tobytes())
        os.fsync(file.fileno())
