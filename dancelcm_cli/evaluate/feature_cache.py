"""Features of true videos, kept from one evaluation to the next.

A file is named by a hash of all that its features depend on: the frames as they are stored, the
protocol's choices about clips, and the network's weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.weight_files import file_sha256, weights_folder
from dancelcm_cli.evaluate.clip_features import Features
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.evaluate.sources import FrameSource, PictureFolder

FORMAT_VERSION = 1
_CHOICES = ("height", "width", "resize", "geometry", "fvd_stride", "fvd_resize", "fvd_codec")


def features_key(video: TestVideo, protocol: Protocol, weights_sha256: str) -> str:
    """Return the name of the features of the true frames of `video`."""
    key = {
        "format_version": FORMAT_VERSION,
        "frames": _content_sha256(video.truth),
        "indices": [*video.scored_indices],
        "protocol": {name: getattr(protocol, name) for name in _CHOICES},
        "weights": weights_sha256,
    }
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def cached_features(key: str, compute: Callable[[], Features]) -> Features:
    """Return the features kept as `key`, or compute and keep them."""
    path = features_folder() / f"{key}.safetensors"
    with suppress(OSError, SafetensorError, KeyError):  # not there, or damaged
        return load_file(path)["features"]
    features = compute()
    with suppress(OSError), atomic_path(path) as temporary:  # a cache that cannot be written
        save_file({"features": features}, temporary)
    return features


def features_folder() -> Path:
    """Return the folder of the kept features, whether it exists or not; it may be deleted."""
    return weights_folder().with_name("features")


def _content_sha256(source: FrameSource) -> str:
    files = source.pictures if isinstance(source, PictureFolder) else (source.path,)
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
