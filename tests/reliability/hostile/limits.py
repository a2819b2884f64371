"""What one case may cost, measured where it runs.

A case runs in a process of its own kind that may be killed: the address space has a limit, so that
a memory bomb is a MemoryError here and no sleep of the whole machine, and processor time is what
counts, so that a busy or a stopped machine changes nothing.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 2**20
MOST_MEMORY = 1536 * MEBIBYTE  # that a case may take beyond what the process had
MOST_ADDRESSES = 3 * 1024 * MEBIBYTE  # beyond what the process had: mapped is not taken
MOST_SECONDS = 60.0  # of processor time for one file
MOST_SILENCE = 900.0  # seconds after which a worker that says nothing hangs: it may be stopped


@dataclass
class Cost:
    """Processor time in seconds, and memory in bytes beyond what the process had before."""

    seconds: float = 0.0
    memory: int = 0


def limit_addresses() -> None:
    """Let this process map at most `MOST_ADDRESSES` more than it does now."""
    limit = _status("VmSize") + MOST_ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def measured() -> Iterator[Cost]:
    """Fill in the cost of what happens within."""
    cost = Cost()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is taken now
    before, started = _status("VmRSS"), _seconds()
    try:
        yield cost
    finally:
        cost.seconds = _seconds() - started
        cost.memory = max(0, _status("VmHWM") - before)


def _seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    ours, waited = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return ours.ru_utime + ours.ru_stime + waited.ru_utime + waited.ru_stime


def _status(name: str) -> int:
    """Return a figure of /proc/self/status in bytes."""
    text = Path("/proc/self/status").read_text()
    (kibibytes,) = re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(kibibytes) * 1024
