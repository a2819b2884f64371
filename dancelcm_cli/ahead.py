"""Work that a thread does ahead of who needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, TypeVar

Item = TypeVar("Item")


class _End:
    """Stands where there are no more items."""


END: Final = _End()


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yield `items` in their order while one thread makes the next ones, at most `count` of them.

    What making an item raises is raised where that item would be. Whoever takes no more of them,
    because of an error or Ctrl-C, waits for the item under way, and no other is begun. The thread
    knows the caller's context variables: torch keeps the settings of its compiler in them.
    """
    source, context = iter(items), copy_context()

    def make() -> Item | _End:
        return next(source, END)

    with ThreadPoolExecutor(max_workers=1) as pool:
        made: deque[Future[Item | _End]] = deque()
        try:
            made.extend(pool.submit(context.run, make) for _ in range(count))
            while not isinstance(item := made.popleft().result(), _End):
                made.append(pool.submit(context.run, make))
                yield item
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
