"""The video that this process is reading: it stays open from one of its jobs to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dancelcm_cli.data.decoding import Decoder
from dancelcm_cli.data.footage import Footage
from dancelcm_cli.preprocess.filters import Frames
from dancelcm_cli.preprocess.jobs import Job
from dancelcm_cli.preprocess.poses import PoseFinder, Poses


class CurrentVideo:
    """Opens the video of a job, unless the job before it was of the same one.

    Opening a video reads it through once, and an annotation is read whole: for every window of a
    long video that would take longer than all the rest.
    """

    def __init__(self, finder: PoseFinder) -> None:
        self._finder = finder
        self._key: tuple[str, str | None] | None = None
        self._decoder: Decoder | None = None

    def open(self, job: Job, footage: Footage) -> Poses:
        """Return how to find the poses of a job's video.

        Raises:
            InputError: It cannot be decoded, or its annotation is missing or damaged.
        """
        key = job.name, job.sha256
        if key != self._key:
            self.close()
            self._poses = self._finder.of_video(footage)
            self._decoder = None if footage.pictures else Decoder(footage.path)
            self._key = key
        return self._poses

    def frames(self, footage: Footage, indices: Sequence[int]) -> Iterator[Frames]:
        """Yield the frames (H, W, 3) at `indices` of the video that is open.

        Raises:
            InputError: One is damaged or of another size.
        """
        if self._decoder is None:
            return footage.frames(indices)
        return map(self._decoder.frame, indices)

    def close(self) -> None:
        """Let go of the video."""
        if self._decoder is not None:
            self._decoder.__exit__(None, None, None)
        self._key = self._decoder = None
