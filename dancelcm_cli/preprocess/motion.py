"""Where something moves: the mask M that weights the distillation loss."""

from __future__ import annotations

import numpy as np
import torch
from einops import reduce
from numpy.typing import NDArray


def motion_mask(frames: NDArray[np.uint8], threshold: float, cell: int) -> torch.Tensor:
    """Mark the latent cells whose pixels differ from the previous or the next frame.

    Args:
        frames: (F, H, W, 3) uint8 RGB.
        threshold: Difference in any channel above which a pixel moves; pixels span [-1, 1].
        cell: Pixels per latent cell along an axis; divides H and W.

    Returns:
        (F, H / cell, W / cell) bool: a cell moves if any of its pixels does. The first and the last
        frame have one neighbour; a single frame has none, and nothing in it moves.
    """
    levels = torch.from_numpy(frames).to(torch.int16)
    differences = (levels[1:] - levels[:-1]).abs().amax(dim=-1) * (2 / 255)
    moving = reduce(differences > threshold, "f (h p) (w q) -> f h w", "max", p=cell, q=cell)
    nothing = moving.new_zeros((1, *moving.shape[1:]))
    return torch.cat([nothing, moving]) | torch.cat([moving, nothing])
