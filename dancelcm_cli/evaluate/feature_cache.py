"""Features of true videos, kept from one evaluation to the next.

A file is named by a hash of all that its features depend on: the frames as they are stored, the
protocol's choices about clips, and the network's weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import numpy as np

from dancelcm_cli.data.array_cache import cached_arrays
from dancelcm_cli.evaluate.clip_features import Features
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.evaluate.sources import content_sha256

FORMAT_VERSION = 1
KIND = "features"  # of array, in the cache folder
_CHOICES = ("height", "width", "resize", "geometry", "fvd_stride", "fvd_resize", "fvd_codec")


def features_key(video: TestVideo, protocol: Protocol, weights_sha256: str) -> str:
    """Return the name of the features of the true frames of `video`."""
    key = {
        "format_version": FORMAT_VERSION,
        "frames": content_sha256(video.truth),
        "indices": [*video.scored_indices],
        "protocol": {name: getattr(protocol, name) for name in _CHOICES},
        "weights": weights_sha256,
    }
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def cached_features(key: str, compute: Callable[[], Features]) -> Features:
    """Return the features kept as `key`, or compute and keep them."""
    kept = cached_arrays(KIND, key, lambda: {"features": compute()})
    return np.asarray(kept["features"], np.float32)
