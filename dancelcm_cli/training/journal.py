"""What a run tells of itself while it trains."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Journal:
    """Collects the losses and the times between two rows of the log."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._clear()

    def lap(self) -> float:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds

    def count(self, waited: float, losses: Mapping[str, float]) -> None:
        self._waited += waited
        self._worked += self.lap()
        self._steps += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._finite += name == "loss"

    def summary(self) -> dict[str, float]:
        means = {name: total / max(1, self._finite) for name, total in self._sums.items()}
        seconds = self._waited + self._worked
        row = {
            **means,
            "seconds_per_step": seconds / self._steps,
            "waiting_share": self._waited / seconds,
        }
        self._clear()
        return row

    def _clear(self) -> None:
        self._waited = self._worked = 0.0
        self._steps = self._finite = 0
        self._sums: dict[str, float] = {}
