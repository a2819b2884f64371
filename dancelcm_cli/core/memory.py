"""What to do where memory runs out: less at a time, then other networks off the GPU, then stop."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from dancelcm_cli.errors import OutOfMemoryError, ran_out_of_memory

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


def with_less_at_once(
    work: Callable[[int], Result], size: int, make_room: Callable[[], bool], what: str
) -> tuple[Result, int]:
    """Return what `work(size)` returns, with the size that there was room for.

    Where memory runs out the size is halved; at 1, `make_room` is called, once for as long as it
    finds something to move away.

    Args:
        work: May be called again after it failed.
        size: How much is done at once.
        make_room: Returns whether it made any.
        what: What there is too little memory for, such as "one window of the network".

    Raises:
        OutOfMemoryError: nothing helped.
    """
    while True:
        try:
            return work(size), size
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            reason = str(error).split(". ")[0] or type(error).__name__
        # Out of the handler, whose traceback holds on to what filled the memory.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if size > 1:
            size //= 2
            logger.warning("Memory ran out: from here on %d at once for %s.", size, what)
        elif make_room():
            logger.warning("Memory ran out: networks that are not at work move to the CPU.")
        else:
            raise OutOfMemoryError(
                f"There must be memory for {what}, but it ran out: {reason}.",
                hint="Type --draft for half the size, --set animate.window=8 for shorter windows,"
                " or --device cpu.",
            )
