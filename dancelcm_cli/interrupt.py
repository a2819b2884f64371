"""Ctrl-C and SIGTERM: as a wish to stop at the next good moment, or else to stop at once."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any


@dataclass
class Interruption:
    """Whether a signal has raised KeyboardInterrupt."""

    came: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.came = True
        raise KeyboardInterrupt


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[Interruption]:
    """Within, SIGTERM raises KeyboardInterrupt as Ctrl-C does, wherever nobody waits for either.

    What is yielded knows of it even where a library, in the middle of its import for example, made
    another error of that. Ctrl-C stays ignored where a shell started the process so.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, interruption) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve_parent() -> None:
    """Begin the work of a process of a pool: leave Ctrl-C to the parent, and die when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # what is being written is under a temporary name


def typed_command() -> str:
    """Return the command that started this process, for a shell."""
    return shlex.join(["dancelcm", *sys.argv[1:]])


class StopRequest:
    """Within `with StopRequest() as stop`, `stop.wanted` turns true on the first Ctrl-C or SIGTERM.

    A second signal acts as it would have without us, for work that hangs. One that is ignored, as
    Ctrl-C is where a shell started the process in the background, stays so.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            heard = [n for n in self.SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
