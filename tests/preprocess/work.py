"""Work for processes that start quickly, as this module imports next to nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def double(number: int) -> int:
    return 2 * number


def die_once(marker: Path, number: int) -> int:
    """Kill the worker that comes first."""
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return double(number)


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number
