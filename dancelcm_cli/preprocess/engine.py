"""Where the stages run: in this process, or in several of this machine.

Whatever runs them, results come in the order of their input, and only a few are held at a time: the
source of the input waits for whoever takes the results.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from dancelcm_cli.errors import OutOfMemoryError
from dancelcm_cli.interrupt import serve_parent

Item = TypeVar("Item")
Between = TypeVar("Between")
Result = TypeVar("Result")

AHEAD = 2  # inputs that are under way per worker
ATTEMPTS = 3  # that an input gets whose worker dies


class Engine(Protocol):
    """Runs functions that can be sent to other processes; used within `with`."""

    def __enter__(self) -> Engine: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` of each item, in their order."""
        ...

    def chain(
        self,
        read: Callable[[Item], Between],
        encode: Callable[[Between], Result],
        items: Iterable[Item],
    ) -> Iterator[Result]:
        """Yield `encode(read(item))` of each item, in their order.

        `read` runs on CPUs, `encode` where the accelerators are.
        """
        ...


class InProcess:
    """An `Engine` of this process alone."""

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results one by one."""
        return map(function, items)

    def chain(
        self,
        read: Callable[[Item], Between],
        encode: Callable[[Between], Result],
        items: Iterable[Item],
    ) -> Iterator[Result]:
        """Yield the results one by one."""
        return map(encode, map(read, items))


@dataclass(frozen=True)
class _Work(Generic[Result]):
    """What was given to a pool."""

    pool: ProcessPoolExecutor
    future: Future[Result]


class LocalPool:
    """An `Engine` of `workers` processes of this machine; this process encodes meanwhile.

    Raises:
        OutOfMemoryError: Workers died again and again over one input.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __enter__(self) -> LocalPool:
        self._pool = self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results while the workers go on with the next inputs."""
        ahead: deque[tuple[Item, _Work[Result]]] = deque()
        for item in items:
            ahead.append((item, self._submit(function, item)))
            if len(ahead) > AHEAD * self._workers:
                yield self._result(function, *ahead.popleft())
        while ahead:
            yield self._result(function, *ahead.popleft())

    def chain(
        self,
        read: Callable[[Item], Between],
        encode: Callable[[Between], Result],
        items: Iterable[Item],
    ) -> Iterator[Result]:
        """Yield the results; encoding is done here, so that one process has the accelerator."""
        return map(encode, self.map(read, items))

    def _start(self) -> ProcessPoolExecutor:
        # Forks of a process with threads, as torch has them, may hang.
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, spawn, _prepare_worker)

    def _submit(self, function: Callable[[Item], Result], item: Item) -> _Work[Result]:
        try:
            return _Work(self._pool, self._pool.submit(function, item))
        except BrokenProcessPool:
            self._replace(self._pool)
            return self._submit(function, item)

    def _result(
        self, function: Callable[[Item], Result], item: Item, work: _Work[Result]
    ) -> Result:
        """Wait for a result, in another pool if a worker was killed."""
        for _ in range(ATTEMPTS):
            try:
                return work.future.result()
            except (BrokenProcessPool, CancelledError):
                self._replace(work.pool)
                work = self._submit(function, item)
        raise OutOfMemoryError(
            f"A worker must live through its work, but {ATTEMPTS} were killed in a row.",
            hint="Memory may have run out: type --workers 1, or a smaller number than now.",
        )

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        if broken is self._pool:  # nobody has replaced it yet
            broken.shutdown(wait=True, cancel_futures=True)
            self._pool = self._start()


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _prepare_worker() -> None:
    serve_parent()
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers are as many as the CPUs; torch comes later
