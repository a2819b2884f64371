"""Running an ONNX network where it is fast, or telling that it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dancelcm_cli.errors import InputError, WeightsMissingError

BATCH = 32  # pictures at once, where the network leaves it open
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
ERRORS_ONLY = 3  # onnxruntime's log level


class OnnxNetwork:
    """A network of one input (B, C, H, W) float32 in a file.

    Attributes:
        device: "cuda" or "cpu": where it really runs.
        height: H of its input, pixels.
        width: W of its input, pixels.

    Raises:
        WeightsMissingError: There is no such file.
        InputError: It is no network that onnxruntime can read.
    """

    def __init__(self, path: Path, device: str) -> None:
        if not path.is_file():
            raise WeightsMissingError(
                f"{path} must hold a network of the pose detector, got no file.",
                hint=f"Type: dancelcm models fetch {path.parent.name}",
            )
        options = onnxruntime.SessionOptions()
        # One thread: a result does not depend on the machine, and a caller may run several.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        usable = onnxruntime.get_available_providers()
        wanted = [CUDA, CPU] if device == "cuda" and CUDA in usable else [CPU]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # onnxruntime's own, one class for each of its codes
            raise InputError(
                f"{path} must be a network in ONNX format, got: {error}",
                hint=f"Delete that file and type: dancelcm models fetch {path.parent.name}",
            ) from error
        self.device = "cuda" if CUDA in self._session.get_providers() else "cpu"
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise InputError(
                f"{path} must be a network of one input of four axes, got {len(inputs)} of"
                f" {[len(taken.shape) for taken in inputs]} axes.",
                hint=f"Delete that file and type: dancelcm models fetch {path.parent.name}",
            )
        self._name = inputs[0].name
        batch, _, self.height, self.width = inputs[0].shape
        self._batch = batch if isinstance(batch, int) else None

    def run(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return each output for all pictures (N, C, H, W), in batches that the network takes."""
        parts = [self._session.run(None, {self._name: batch}) for batch in self._batches(pictures)]
        return [np.concatenate(output)[: len(pictures)] for output in zip(*parts, strict=True)]

    def _batches(self, pictures: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        size = self._batch or BATCH
        for start in range(0, len(pictures), size):
            batch = pictures[start : start + size]
            missing = size - len(batch) if self._batch else 0
            yield np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
