"""LPIPS (Zhang et al. 2018): the distance of two pictures in the features of VGG16.

It is version 0.1 of richzhang/PerceptualSimilarity with its linear heads, as DisCo uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dancelcm_cli.config.schema import LpipsRange
from dancelcm_cli.core.misfits import fill
from dancelcm_cli.evaluate.precision import exact_float32
from dancelcm_cli.evaluate.protocol import Frame, stack_frames

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of [-1, 1], per channel
_EPSILON = 1e-10


class Lpips(nn.Module):
    """Tells how far pictures `(B, 3, H, W)` are apart; it is made for the range [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, *(width for stage in _STAGES for width in stage)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(*pair, 3, padding=1) for pair in pairwise(widths)
        )
        self.heads = nn.ParameterList(torch.empty(stage[-1]) for stage in _STAGES)

    def forward(self, first: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Return the distances `(B,)` of each of `others` to `first`."""
        return self.distances(self.levels(first), *map(self.levels, others))

    def levels(self, pictures: Tensor) -> Iterator[Tensor]:
        """Yield VGG16's features before each pool, every pixel's of unit length."""
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
        features = (pictures - mean) / std
        convolutions = iter(self.convolutions)
        for index, stage in enumerate(_STAGES):
            if index:
                features = F.max_pool2d(features, 2)
            for convolution in islice(convolutions, len(stage)):
                features = F.relu_(convolution(features))
            yield features / (features.norm(dim=1, keepdim=True) + _EPSILON)

    def distances(self, first: Iterable[Tensor], *others: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Return what `forward` does, from the `levels` of the pictures; one at a time is held."""
        totals = [torch.zeros(())] * len(others)
        for head, features, *rest in zip(self.heads, first, *others, strict=True):
            for place, other in enumerate(rest):
                by_channel = (features - other).square_().mean(dim=(2, 3))
                totals[place] = totals[place] + by_channel @ head
        return tuple(totals)


class PerceptualMeter:
    """Measures frames with LPIPS on the device of its network.

    `input_range` is that of the pixels it gets: "signed", as it was made for, or DisCo's "unit".
    """

    def __init__(self, network: Lpips, input_range: LpipsRange) -> None:
        self._network = network
        self._input_range = input_range

    @torch.inference_mode()
    def compare(
        self, truth: Sequence[Frame], shown: Sequence[Sequence[Frame]]
    ) -> list[list[float]]:
        """Return, for each sequence of `shown`, the distances of its frames to those of `truth`.

        A still, one frame object again and again, costs no more than one frame. Frames go through
        the network one by one: a batch is slower on a CPU, as it does not fit into its caches.

        Raises:
            InputError: Something is no 8-bit RGB frame.
        """
        with exact_float32():
            stills = [
                list(self._levels(frames[0], truth[0])) if _is_still(frames) else None
                for frames in shown
            ]
            distances = []
            for place, frame in enumerate(truth):
                levels = [
                    self._levels(frames[place], truth[0]) if still is None else still
                    for frames, still in zip(shown, stills, strict=True)
                ]
                found = self._network.distances(self._levels(frame, truth[0]), *levels)
                distances.append(torch.cat(found))
        by_sequence: list[list[float]] = torch.stack(distances, dim=1).tolist()
        return by_sequence

    def _levels(self, frame: Frame, model: Frame) -> Iterator[Tensor]:
        """Return the levels of a frame (H, W, 3) that must be of the size of `model`."""
        device = self._network.heads[0].device
        pixels = torch.from_numpy(stack_frames([model, frame])[1:]).to(device).movedim(-1, 1)
        signed = self._input_range == "signed"
        return self._network.levels(pixels / 127.5 - 1.0 if signed else pixels / 255.0)


def make_lpips(tensors: Mapping[str, Tensor], source: object) -> Lpips:
    """Return the network with `tensors` as its weights, frozen.

    Raises:
        InputError: They do not fit.
    """
    with torch.device("meta"):
        network = Lpips()
    fill(network, tensors, source)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _is_still(frames: Sequence[Frame]) -> bool:
    return all(frame is frames[0] for frame in frames)
