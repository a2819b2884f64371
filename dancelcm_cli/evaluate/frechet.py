"""The Fréchet distance of two sets of features, each taken for a sample of a Gaussian."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.errors import InputError

Float64 = NDArray[np.float64]


def frechet_distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of features (N, D) and (M, D).

    Covariances are unbiased (divided by N - 1), as `numpy.cov` gives them. The trace of the root is
    the sum of the singular values of A B^T wherever A^T A = C1 and B^T B = C2: no root is taken of
    a matrix, which rounding would make complex, and few clips do no harm. All is float64.

    Raises:
        InputError: A feature is infinite or not a number.
    """
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError(
            "Features must be finite numbers, got others.",
            hint="Fetch the network's weights again: `dancelcm models fetch i3d`.",
        )
    mean1, root1 = _gaussian(first)
    mean2, root2 = _gaussian(second)
    shared = np.linalg.svd(root1 @ root2.T, compute_uv=False).sum()
    traces = np.square(root1).sum() + np.square(root2).sum()
    distance = np.square(mean1 - mean2).sum() + traces - 2 * shared
    return max(float(distance), 0.0)  # of equal sets, rounding may leave less than nothing


def _gaussian(features: NDArray[Any]) -> tuple[Float64, Float64]:
    """Return the mean (D,) and a matrix A of at most D rows with A^T A the covariance (D, D)."""
    sample = features.astype(np.float64)
    mean = sample.mean(axis=0)
    centred = (sample - mean) / np.sqrt(max(len(sample) - 1, 1))
    if len(centred) > centred.shape[1]:
        centred = np.asarray(np.linalg.qr(centred, mode="r"))
    return mean, centred
