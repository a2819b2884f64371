"""Seconds that a benchmark may take: minutes on a large GPU are dear."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


class OutOfTimeError(BaseException):
    """The budget is spent. Not an Exception: a compiler in between would take it for its own."""


@dataclass
class Budget:
    """Seconds from the start until a part is cut off."""

    seconds: float
    started: float = field(default_factory=time.perf_counter)

    def left(self) -> float:
        return self.started + self.seconds - time.perf_counter()

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Raise OutOfTimeError in whatever runs when the time is up."""

        def cut(number: int, frame: FrameType | None) -> None:
            raise OutOfTimeError

        previous = signal.signal(signal.SIGALRM, cut)
        signal.setitimer(signal.ITIMER_REAL, max(0.01, self.left()))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, previous)
