"""Running one of MediaPipe's TensorFlow Lite networks on a region of a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from dancelcm_cli.errors import WeightsMissingError
from dancelcm_cli.native_output import native_output_hidden
from dancelcm_cli.perception.region import Array, Frame, Region


class TfliteNetwork:
    """A network whose input is a square RGB picture of `side` x `side` pixels.

    Raises:
        WeightsMissingError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise WeightsMissingError(
                f"{path} must hold a network of the pose detector, got no file",
                "install dancelcm again, from a complete checkout or wheel",
            )
        # One thread: a result does not depend on the machine, and a caller may run several.
        with native_output_hidden():  # which delegate it chose is nobody's business
            self._interpreter = Interpreter(str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        (picture,) = self._interpreter.get_input_details()
        self._input = picture["index"]
        self.side = int(picture["shape"][1])
        # The interpreter lists the outputs in any order; their names are stable.
        outputs = sorted(self._interpreter.get_output_details(), key=lambda output: output["name"])
        self._outputs = [output["index"] for output in outputs]

    def run(self, frame: Frame, region: Region, low: float = 0.0) -> list[Array]:
        """Return the outputs, without the batch axis and sorted by name, for a region of `frame`.

        The network gets the pixels of the RGB frame (H, W, 3) in the range [low, 1].
        """
        picture = region.cut(frame, self.side).astype(np.float32) * ((1 - low) / 255) + low
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]


def sigmoid(logits: Array) -> Array:
    """Return the probabilities of `logits`, safe from overflow."""
    return 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
