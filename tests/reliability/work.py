"""Work for processes that start quickly, as this module imports next to nothing."""

from __future__ import annotations

import errno
import os
import signal


def fail(kind: str, number: int) -> int:
    """Find no memory."""
    if kind == "OSError":
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    raise MemoryError


def die(number: int) -> int:
    """Be killed, as by a system that runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number
