"""Long clips: the network sees overlapping windows, and their predictions are fused in every step.

All windows of a step look at the same noisy latents, so fusing v is fusing where the windows land.
Each frame trusts most the window whose middle it is nearest to. From step to step the windows move,
so that no seam stays where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dancelcm_cli.errors import ConfigError

# v (B, C, f, h, w) of each of some windows of latents (B, C, F, h, w)
PredictWindows = Callable[[Tensor, list[range]], list[Tensor]]


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


@dataclass(frozen=True)
class WindowPlan:
    """The windows of all steps of a clip of `num_frames`."""

    num_frames: int
    size: int
    overlap: int
    num_steps: int

    def windows(self, step: int) -> list[range]:
        """Return the windows of a step."""
        return plan_windows(self.num_frames, self.size, self.overlap, step)

    @property
    def counts(self) -> list[int]:
        """How many windows each step has."""
        return [len(self.windows(step)) for step in range(self.num_steps)]

    @property
    def seams(self) -> set[int]:
        """The frames at which a window of any step begins or has just ended."""
        windows = [window for step in range(self.num_steps) for window in self.windows(step)]
        edges = {edge for window in windows for edge in (window.start, window.stop)}
        return edges - {0, self.num_frames}


def window_weights(size: int) -> Tensor:
    """Return the `(size,)` trust in the frames of a window: a triangle, nowhere zero."""
    places = torch.arange(size)
    return torch.minimum(places + 1, size - places).float()


@dataclass(frozen=True)
class Fusion:
    """What the first `done` windows of a step add up to: `total` `(B, C, F, h, w)`, float32."""

    done: int
    total: Tensor


def fuse_windows(
    predict: PredictWindows,
    latents: Tensor,
    windows: list[range],
    at_once: int = 1,
    begun: Fusion | None = None,
    on_fusion: Callable[[Fusion], None] = lambda fusion: None,
) -> Tensor:
    """Return v `(B, C, F, h, w)` of whole clips from the predictions of their windows, float32.

    Windows are added up in their order, whoever predicts them, so that the sum is always the same.

    Args:
        predict: Says v of some of the windows.
        latents: Noisy latents `(B, C, F, h, w)` of the whole clips.
        windows: All of them.
        at_once: How many `predict` is asked for at a time.
        begun: What some of the windows were added up to before.
        on_fusion: Told each time that windows were added; the total changes afterwards.
    """
    if len(windows) == 1:
        return predict(latents, windows)[0].float()
    if begun is None:
        begun = Fusion(0, torch.zeros_like(latents, dtype=torch.float32))
    total = begun.total.to(latents.device)
    for start in range(begun.done, len(windows), at_once):
        asked = windows[start : start + at_once]
        for window, velocity in zip(asked, predict(latents, asked), strict=True):
            trust = window_weights(len(window)).to(latents.device)
            total[:, :, window.start : window.stop] += velocity * trust[:, None, None]
        on_fusion(Fusion(start + len(asked), total))
    return total.div_(_trust_in_frames(latents, windows)[:, None, None])


def _trust_in_frames(latents: Tensor, windows: list[range]) -> Tensor:
    """Return the `(F,)` sums of the trust of all windows."""
    weight = latents.new_zeros(latents.shape[2], dtype=torch.float32)
    for window in windows:
        weight[window.start : window.stop] += window_weights(len(window)).to(latents.device)
    return weight
