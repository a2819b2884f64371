"""Work done piece by piece where its inside is many times as large as what comes out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Numbers that are inside at a time. On a CPU they fit memory that the process has already: to fetch
# fresh pages from the system takes as long as the arithmetic. On a GPU they are few (32 MB in
# bfloat16) beside the features of a clip, and yet enough to occupy it.
CPU_PIECE, GPU_PIECE = 2**20, 2**24


def in_pieces(work: Callable[[Tensor], Tensor], rows: Tensor, inside: int) -> Tensor:
    """Return `work(rows)`, a few of the rows `(N, ...)` at a time.

    With gradients, which would keep all of the inside, and under a compiler, which fuses it, it is
    done at once.

    Args:
        work: Maps each row by itself, whatever others there are.
        rows: At least one.
        inside: Numbers that it makes of a row in between.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return work(rows)
    piece = CPU_PIECE if rows.device.type == "cpu" else GPU_PIECE
    pieces = torch.split(rows, max(1, piece // inside))
    return work(rows) if len(pieces) == 1 else torch.cat([work(piece) for piece in pieces])
