"""Figures and pictures that several test files of perception look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.perception.keypoints import FACE, LEFT_HAND, RIGHT_HAND, read_annotation

GOLDEN = Path(__file__).parents[1] / "golden" / "pose.npz"


@pytest.fixture(scope="session")
def golden() -> dict[str, NDArray[Any]]:
    """Figures read off UniAnimate's pose tool: `ref`, `drive` and `aligned` keypoints (F, 134, 3).

    `ref_canvas` and `canvas` are the pictures (F, 768, 512, 3) of the first and the last, as RGB.
    """
    with np.load(GOLDEN) as arrays:
        keypoints = {name: _keypoints(arrays, name) for name in ("ref", "drive", "aligned")}
        # On file they are as the image writer got them: B, G, R.
        pictures = {"ref_canvas": arrays["ref_canvas"][None], "canvas": arrays["canvas"]}
    return keypoints | {name: picture[..., ::-1] for name, picture in pictures.items()}


def _keypoints(arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    """UniAnimate has one toe a foot: here every point of the foot is it."""
    body, hands = arrays[f"{name}_body"], arrays[f"{name}_hands"]
    keypoints = np.ones((len(body), 134, 3), np.float32)
    keypoints[:, :18, :2] = body[:, :18]
    keypoints[:, 18:21, :2] = body[:, 18:19]
    keypoints[:, 21:24, :2] = body[:, 19:20]
    keypoints[:, FACE, :2] = arrays[f"{name}_faces"]
    keypoints[:, LEFT_HAND, :2] = hands[:, 0]
    keypoints[:, RIGHT_HAND, :2] = hands[:, 1]
    return keypoints


@pytest.fixture(scope="session")
def dancer_frames() -> NDArray[np.uint8]:
    """Six frames of the sample dancer, (6, 384, 256, 3)."""
    return read_frames(bundled("samples/driving.mp4"), range(0, 24, 4))[0]


@pytest.fixture(scope="session")
def dancer() -> NDArray[np.float32]:
    """The exact keypoints of `dancer_frames`, (6, 134, 3)."""
    return read_annotation(bundled("samples/driving.npz"), 384, 256)[::4]


@pytest.fixture
def hide() -> Callable[..., NDArray[np.float32]]:
    """Return a copy of keypoints in which some points are unseen, with coordinates of no sense."""

    def hidden(
        keypoints: NDArray[np.float32], points: Any, at: float = np.nan
    ) -> NDArray[np.float32]:
        copy = keypoints.copy()
        copy[..., points, :2], copy[..., points, 2] = at, 0
        return copy

    return hidden
