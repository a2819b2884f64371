"""Whether the eye could find where the windows of a long clip meet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from dancelcm_cli.core.vae import Frames


class SeamMeter:
    """Compares how much the picture changes at `seams` with how much it changes elsewhere.

    A seam is a frame at which a window begins or has just ended.
    """

    def __init__(self, seams: Collection[int]) -> None:
        self._seams = seams
        self._changes: dict[bool, list[float]] = {True: [], False: []}

    def over(self, frames: Iterable[Frames]) -> Iterator[Frames]:
        """Yield `frames` `(H, W, 3)` and look at them on the way."""
        before: Frames | None = None
        for number, frame in enumerate(frames):
            if before is not None:
                change = np.abs(frame.astype(np.int16) - before).mean()
                self._changes[number in self._seams].append(float(change))
            before = frame
            yield frame

    @property
    def ratio(self) -> float | None:
        """Mean change at seams over that elsewhere; None where one of the two is missing or 0."""
        at_seams, elsewhere = (self._changes[where] for where in (True, False))
        if not at_seams or not elsewhere or not any(elsewhere):
            return None
        return float(np.mean(at_seams) / np.mean(elsewhere))
