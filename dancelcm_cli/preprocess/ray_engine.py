"""The stages on a Ray cluster: reading on all of its CPUs, encoding on its GPUs.

What a lost machine was doing is done again by others, also what it had finished and nobody had
fetched.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from dancelcm_cli.errors import ConfigError, OutOfMemoryError
from dancelcm_cli.preprocess.engine import AHEAD

Item = TypeVar("Item")
Between = TypeVar("Between")
Result = TypeVar("Result")

RETRIES = 5  # of work whose machine was lost


class RayCluster:
    """An `Engine` of the Ray cluster in `RAY_ADDRESS`, or of this machine where there is none.

    A cluster that this process is connected to already is used as it is, and stays up.

    Raises:
        ConfigError: Ray is not installed.
        OutOfMemoryError: Workers died again and again over one input.
    """

    def __init__(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "--engine ray must have Ray, which is not installed.",
                hint="Type: pip install 'dancelcm[ray]'",
            ) from error
        self._ray: Any = ray
        self._is_ours = False

    def __enter__(self) -> RayCluster:
        if not self._ray.is_initialized():
            self._ray.init(logging_level=logging.ERROR, log_to_driver=False)
            self._is_ours = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results while the cluster goes on with the next inputs."""
        on_cpu = self._remote(function, num_cpus=1)
        return self._in_order(on_cpu.remote(item) for item in items)

    def chain(
        self,
        read: Callable[[Item], Between],
        encode: Callable[[Between], Result],
        items: Iterable[Item],
    ) -> Iterator[Result]:
        """Yield the results; what is read goes straight to the machine that encodes it."""
        has_gpu = self._ray.cluster_resources().get("GPU", 0) > 0
        on_cpu = self._remote(read, num_cpus=1)
        on_gpu = self._remote(encode, num_gpus=1) if has_gpu else self._remote(encode, num_cpus=1)
        return self._in_order(on_gpu.remote(on_cpu.remote(item)) for item in items)

    def _remote(self, function: Callable[..., Any], **resources: int) -> Any:
        def work(item: Any) -> Any:  # Ray wants a plain function, and ours may be a partial one
            return function(item)

        return self._ray.remote(max_retries=RETRIES, **resources)(work)

    def _in_order(self, references: Iterable[Any]) -> Iterator[Any]:
        ahead: deque[Any] = deque()
        for reference in references:
            ahead.append(reference)
            if len(ahead) > AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1))):
                yield self._result(ahead.popleft())
        while ahead:
            yield self._result(ahead.popleft())

    def _result(self, reference: Any) -> Any:
        crashes = self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError
        try:
            return self._ray.get(reference)
        except crashes as error:
            raise OutOfMemoryError(
                f"A worker must live through its work, but {RETRIES + 1} were killed in a row.",
                hint="Memory may have run out: `ray start --num-cpus N` with fewer takes less.",
            ) from error
