"""A run's figures and pictures as TensorBoard reads them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from dancelcm_cli.errors import ConfigError


def require_tensorboard() -> None:
    """Refuse to go on without TensorBoard.

    Raises:
        ConfigError: it is not installed.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "compute.tensorboard must be false where TensorBoard is not installed.",
            hint='Install it: pip install "dancelcm[tensorboard]"',
        )


class EventFiles:
    """Event files in `folder`, from after step `first` on; what a run left of later steps is void.

    Needs TensorBoard.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # fails where TensorBoard is missing

        self._writer = SummaryWriter(folder, purge_step=first + 1)

    def __enter__(self) -> EventFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def figures(self, group: str, done: int, figures: Mapping[str, float]) -> None:
        """Write `figures` of step `done` under `group`/name."""
        for name, value in figures.items():
            self._writer.add_scalar(f"{group}/{name}", value, done)

    def picture(self, done: int, path: Path) -> None:
        """Write the picture `path` of step `done` under `samples`."""
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
        self._writer.add_image("samples", pixels, done, dataformats="HWC")
