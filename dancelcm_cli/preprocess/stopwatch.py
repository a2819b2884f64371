"""What each stage takes of the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Sums up seconds, and the frames that went through, by the name of a stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def of(self, stage: str, frames: int) -> Iterator[None]:
        """Count what the block takes for so many frames to `stage`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._add(stage, time.perf_counter() - started, frames)

    def add(self, other: Stopwatch) -> None:
        """Add what another one counted, perhaps in another process."""
        for stage, seconds in other.seconds.items():
            self._add(stage, seconds, other.frames[stage])

    def rate(self, stage: str) -> float:
        """Return the frames per second of one process in a stage; 0 if there were none."""
        return self.frames[stage] / self.seconds[stage] if self.seconds.get(stage) else 0.0

    def _add(self, stage: str, seconds: float, frames: int) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.frames[stage] = self.frames.get(stage, 0) + frames
