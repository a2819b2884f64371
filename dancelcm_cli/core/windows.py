"""Long clips: the network sees overlapping windows, and their predictions are fused in every step.

All windows of a step look at the same noisy latents, so fusing v is fusing where the windows land.
Each frame trusts most the window whose middle it is nearest to. From step to step the windows move,
so that no seam stays where it was.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dancelcm_cli.errors import ConfigError

PredictWindow = Callable[[Tensor, range], Tensor]  # v (B, C, f, h, w) of latents of those frames


def plan_windows(num_frames: int, size: int, overlap: int, step: int = 0) -> list[range]:
    """Return windows of `size` frames that cover `num_frames`, neighbours sharing `overlap`.

    At odd steps the inner windows stand half a stride further on. A clip no longer than a window is
    one window.

    Raises:
        ConfigError: `overlap` is negative or leaves no stride.
    """
    if not 0 <= overlap < size:
        raise ConfigError(
            f"animate.overlap must be from 0 to {size - 1}, below animate.window, got {overlap}.",
            hint="Type --set animate.overlap=4",
        )
    last = num_frames - size
    if last <= 0:
        return [range(num_frames)]
    stride = size - overlap
    shift = stride // 2 if step % 2 else 0
    starts = sorted({0, last, *range(shift, last, stride)})
    return [range(start, start + size) for start in starts]


def window_weights(size: int) -> Tensor:
    """Return the `(size,)` trust in the frames of a window: a triangle, nowhere zero."""
    places = torch.arange(size)
    return torch.minimum(places + 1, size - places).float()


def fuse_windows(predict: PredictWindow, latents: Tensor, windows: list[range]) -> Tensor:
    """Return v `(B, C, F, h, w)` of whole clips from the predictions of their windows, float32."""
    if len(windows) == 1:
        return predict(latents, windows[0]).float()
    total = torch.zeros_like(latents, dtype=torch.float32)
    weight = latents.new_zeros(latents.shape[2], dtype=torch.float32)
    for window in windows:
        frames = slice(window.start, window.stop)
        trust = window_weights(len(window)).to(latents.device)
        total[:, :, frames] += predict(latents[:, :, frames], window) * trust[:, None, None]
        weight[frames] += trust
    return total / weight[:, None, None]
