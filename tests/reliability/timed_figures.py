"""Which figures of a run's rows come from the clock or the machine, and differ from run to run."""

from __future__ import annotations

from collections.abc import Mapping

TIMED = ("samples_per_second", "seconds_per_step", "waiting_share", "peak_memory_gib")


def without_times(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of `metrics.jsonl` without them."""
    return {name: value for name, value in row.items() if name not in TIMED}
