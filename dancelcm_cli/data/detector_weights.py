"""Where the networks of the pose detectors lie: BlazePose's come along, the others are fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dancelcm_cli.config.schema import Detector
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.data.weight_files import find_weights, weights_folder, weights_path
from dancelcm_cli.data.weight_table import weight_file

FETCHED = {
    "dwpose": ("dwpose-detector", "dwpose-body"),
    "openpose": ("openpose-body", "openpose-hand", "openpose-face"),
}


def detector_of(choice: Detector) -> str:
    """Return the name of the detector that a choice means on this machine.

    Where the choice names none, that is DWPose, the paper's, once it has been fetched.
    """
    if choice not in ("auto", "annotation"):
        return choice
    paths = [weights_path(weight_file(name), weights_folder()) for name in FETCHED["dwpose"]]
    return "dwpose" if all(path.is_file() for path in paths) else "blazepose"


def detector_folder(detector: str) -> Path:
    """Return the folder that `perception.keypoints.load_detector` is to read `detector` from.

    Raises:
        WeightsMissingError: A network has not been fetched; the hint says how.
        InputError: One is not what it must be.
    """
    if detector not in FETCHED:
        return bundled(detector)
    for name in FETCHED[detector]:
        find_weights(name)
    return weights_folder()


def detector_sha256(detector: str) -> str:
    """Return a hash of the networks of `detector`, known without reading those that are fetched."""
    if detector not in FETCHED:
        return folder_sha256(bundled(detector))
    hashes = [weight_file(name).sha256 for name in FETCHED[detector]]
    return hashlib.sha256(" ".join(map(str, hashes)).encode()).hexdigest()
