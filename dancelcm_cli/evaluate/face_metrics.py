"""Scores of a face: whether it is there, how it looks and whom it is like.

Faces are found by MTCNN, in small frames enlarged twice, as a person's face is found for a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from facenet_pytorch import InceptionResnetV1
from numpy.typing import NDArray
from torch import Tensor

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.core.misfits import fill
from dancelcm_cli.data.downloads import find_weights
from dancelcm_cli.data.pickles import read_pickled_tensors
from dancelcm_cli.evaluate.frame_metrics import Frame, psnr
from dancelcm_cli.evaluate.meters import Moment, Values
from dancelcm_cli.evaluate.perceptual import PerceptualMeter
from dancelcm_cli.evaluate.precision import exact_float32
from dancelcm_cli.perception.face import Box, FaceCrop, FaceCropper, cut_box

LIKENESS_WEIGHTS = "facenet"

SIDE = 160  # pixels of a face as it is compared; the side that the likeness network was trained at


class Likeness:
    """Tells how alike two faces are: InceptionResnetV1 trained on VGGFace2, of facenet-pytorch."""

    def __init__(self, network: InceptionResnetV1) -> None:
        self._network = network

    @torch.inference_mode()
    def embed(self, face: Frame) -> NDArray[np.float32]:
        """Return the direction (512,), of length 1, that a face (160, 160, 3) is known by."""
        device = next(self._network.parameters()).device
        pixels = torch.from_numpy(face).to(device).permute(2, 0, 1)[None].float()
        with exact_float32():
            embedding = self._network((pixels - 127.5) / 128.0)  # as facenet-pytorch scales them
        return np.asarray(embedding[0].cpu().numpy(), np.float32)


def open_likeness(device: torch.device) -> Likeness:
    """Return the network with its published weights.

    Raises:
        WeightsMissingError: They are not on this machine; the hint says how to fetch them.
        InputError: The file holds something else.
    """
    path = find_weights(LIKENESS_WEIGHTS)
    return make_likeness(read_pickled_tensors(path), path, device)


def make_likeness(tensors: Mapping[str, Tensor], source: object, device: torch.device) -> Likeness:
    """Return the network with `tensors` as its weights.

    Raises:
        InputError: They do not fit.
    """
    # The published file was trained to tell 8631 people apart; facenet-pytorch drops that layer.
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("logits.")}
    network = InceptionResnetV1(pretrained=None, classify=False)
    fill(network, kept, source)
    return Likeness(network.eval().requires_grad_(False).to(device))


class FaceMeter:
    """Measures `metrics`, some of `FACE_METRICS`; a frame whose true face is not found has none.

    Without `likeness` and `perceptual` the metrics that need them must not be asked for.
    """

    life_size = True

    def __init__(
        self,
        metrics: Sequence[MetricName],
        cropper: FaceCropper,
        likeness: Likeness | None = None,
        perceptual: PerceptualMeter | None = None,
    ) -> None:
        self.metrics = metrics
        self._cropper = cropper
        self._likeness = likeness
        self._perceptual = perceptual

    def measure(self, moments: Iterable[Moment]) -> Iterator[Sequence[Values]]:
        """Yield the values of each candidate at each moment."""
        looked_at: dict[int, tuple[Frame, FaceCrop | None]] = {}  # the last frame of each candidate
        for truth, shown in moments:
            true_face = self._cropper.crop(truth, SIDE)
            if true_face is None:
                yield [{} for _ in shown]
                continue
            values = []
            for place, frame in enumerate(shown):
                if place not in looked_at or looked_at[place][0] is not frame:
                    looked_at[place] = (frame, self._cropper.crop(frame, SIDE))
                values.append(self._compare(frame, looked_at[place][1], true_face))
            yield values

    def _compare(self, frame: Frame, face: FaceCrop | None, true_face: FaceCrop) -> Values:
        found = face is not None and _overlap(face.box, true_face.box)
        there = cut_box(frame, true_face.box, SIDE)  # what is shown where the face should be
        values: dict[MetricName, float] = {
            "face_found": float(found),
            "face_psnr": psnr(there, true_face.image),
        }
        if self._perceptual is not None and "face_lpips" in self.metrics:
            (distance,) = self._perceptual.compare([true_face.image], [[there]])
            values["face_lpips"] = distance[0]
        if self._likeness is not None and found and face is not None:
            pair = (self._likeness.embed(image) for image in (face.image, true_face.image))
            values["face_similarity"] = float(np.dot(*pair))
        return {name: values[name] for name in self.metrics if name in values}


def _overlap(first: Box, second: Box) -> bool:
    """Return whether two boxes share anything: a face found elsewhere is not that face."""
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    return left < right and top < bottom
