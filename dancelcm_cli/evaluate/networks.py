"""The networks that a protocol's metrics need, and which metrics have to be left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dancelcm_cli.config.schema import EvaluateConfig, MetricName
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.downloads import find_weights
from dancelcm_cli.data.tensor_files import read_tensors
from dancelcm_cli.data.weight_table import weight_file
from dancelcm_cli.errors import DanceLCMError, InputError, WeightsMissingError
from dancelcm_cli.evaluate.clip_features import num_clips
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.face_metrics import LIKENESS_WEIGHTS, FaceMeter, open_likeness
from dancelcm_cli.evaluate.frame_metrics import FRAME_MEASURES
from dancelcm_cli.evaluate.i3d import CLIP_LENGTH, I3D
from dancelcm_cli.evaluate.i3d_weights import make_i3d, refuse_other_training
from dancelcm_cli.evaluate.meters import Meter, PixelMeter
from dancelcm_cli.evaluate.metric_weights import (
    I3D_PACKAGE,
    LPIPS_PACKAGE,
    load_published,
    tensors_sha256,
)
from dancelcm_cli.evaluate.metrics import (
    BEYOND_THE_PAPERS,
    FACE_METRICS,
    MOTION_METRICS,
    POSE_METRICS,
)
from dancelcm_cli.evaluate.motion_metrics import MotionMeter
from dancelcm_cli.evaluate.perceptual import Lpips, PerceptualMeter, make_lpips
from dancelcm_cli.evaluate.pose_metrics import PoseMeter
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.evaluate.video_metrics import ClipMeter
from dancelcm_cli.perception.blazepose import BlazePose
from dancelcm_cli.perception.face import FaceCropper

_LEAST_CLIPS = 2  # one has no covariance
_WITH_LPIPS: tuple[MetricName, ...] = ("lpips", "face_lpips")


@dataclass(frozen=True)
class Networks:
    """What measures: `meters` single frames, `clips` FVD, None where it is not to be had.

    `weights` are the hashes of the networks' tensors, and `skipped` the reasons why a metric of the
    protocol is not measured, both by metric.
    """

    meters: tuple[Meter, ...]
    clips: ClipMeter | None
    weights: dict[str, str]
    skipped: dict[str, str]


def open_networks(
    protocol: Protocol, config: EvaluateConfig, videos: Sequence[TestVideo], device: torch.device
) -> Networks:
    """Load the networks that the metrics of `protocol` need to score `videos`.

    A metric that cannot be measured is skipped, but refused where `config` is strict or names it.

    Raises:
        WeightsMissingError: A refused metric has no weights on this machine.
        InputError: A file of weights is not what it must be, or refused FVD has too few frames.
    """
    obstacles = _lacking_weights(protocol, config)
    lack_of_frames = _lack_of_frames(videos, protocol) if "fvd" in protocol.metrics else None
    if lack_of_frames is not None:
        obstacles.setdefault("fvd", lack_of_frames)
    _refuse(obstacles, config)
    measured = [name for name in protocol.metrics if name not in obstacles]
    clips, weights = None, {}
    if "fvd" in measured:
        i3d, weights["fvd"] = open_i3d(config.i3d, device)
        clips = ClipMeter(i3d, weights["fvd"], protocol, config.batch_size)
    weights |= {name: LPIPS_PACKAGE.sha256 for name in measured if name in _WITH_LPIPS}
    if "face_similarity" in measured:
        weights["face_similarity"] = str(weight_file(LIKENESS_WEIGHTS).sha256)
    skipped = {metric: f"{error.message} {error.hint}" for metric, error in obstacles.items()}
    meters = tuple(_meters(measured, protocol, device))
    return Networks(meters, clips, weights, skipped)


def _meters(
    measured: Sequence[MetricName], protocol: Protocol, device: torch.device
) -> Iterator[Meter]:
    """Yield what measures the metrics of single frames among `measured`."""
    perceptual = None
    if any(name in _WITH_LPIPS for name in measured):
        perceptual = PerceptualMeter(open_lpips(device), protocol.lpips_range)
    pixels = [name for name in measured if name in (*FRAME_MEASURES, "lpips")]
    if pixels:
        yield PixelMeter(pixels, perceptual if "lpips" in pixels else None)
    motion = [name for name in measured if name in MOTION_METRICS]
    if motion:
        yield MotionMeter(motion)
    face = [name for name in measured if name in FACE_METRICS]
    if face:
        likeness = open_likeness(device) if "face_similarity" in face else None
        yield FaceMeter(face, FaceCropper(str(device)), likeness, perceptual)
    pose = [name for name in measured if name in POSE_METRICS]
    if pose:
        yield PoseMeter(pose, BlazePose(bundled("blazepose")))


def require_weights(protocol: Protocol, config: EvaluateConfig) -> None:
    """Refuse a metric that must be measured and cannot, before much is made to be scored.

    Raises:
        WeightsMissingError: It has no weights on this machine.
    """
    _refuse(_lacking_weights(protocol, config), config)


def open_lpips(device: torch.device) -> Lpips:
    """Return LPIPS's network with its published weights.

    Raises:
        WeightsMissingError: They are not on this machine.
    """
    return make_lpips(load_published(LPIPS_PACKAGE), LPIPS_PACKAGE.name).to(device)


def open_i3d(file: str, device: torch.device) -> tuple[I3D, str]:
    """Return I3D and the hash of its weights: those of `file`, or the fetched ones if it is empty.

    Raises:
        WeightsMissingError: They are not on this machine.
        InputError: `file` holds no I3D, or one that was trained otherwise.
    """
    if not file:
        network = make_i3d(load_published(I3D_PACKAGE), I3D_PACKAGE.name)
        return network.to(device), I3D_PACKAGE.sha256
    tensors = read_tensors(Path(file).expanduser())
    network = make_i3d(tensors, file).to(device)
    refuse_other_training(network, file)
    return network, tensors_sha256(tensors)


def _refuse(obstacles: Mapping[str, DanceLCMError], config: EvaluateConfig) -> None:
    """Raise where a metric must be measured; what papers do not report must be only if named."""
    for metric, error in obstacles.items():
        if metric in config.metrics or (config.strict and metric not in BEYOND_THE_PAPERS):
            raise error


def _lacking_weights(protocol: Protocol, config: EvaluateConfig) -> dict[str, DanceLCMError]:
    """Return why metrics of `protocol` have no weights, by metric."""
    needed = {
        **dict.fromkeys(_WITH_LPIPS, LPIPS_PACKAGE.name),
        "fvd": "" if config.i3d else I3D_PACKAGE.name,
        "face_similarity": LIKENESS_WEIGHTS,
    }
    lacking: dict[str, DanceLCMError] = {}
    for metric in protocol.metrics:
        try:
            if needed.get(metric):
                find_weights(needed[metric])
        except WeightsMissingError as error:
            lacking[metric] = error
    return lacking


def _lack_of_frames(videos: Sequence[TestVideo], protocol: Protocol) -> InputError | None:
    clips = [num_clips(len(video.scored_indices), protocol) for video in videos]
    if 0 in clips:
        short = videos[clips.index(0)]
        return InputError(
            f"For FVD a video must have at least {CLIP_LENGTH} frames,"
            f" got {len(short.scored_indices)} of {short.name}.",
            hint="Take longer videos, or leave it out: `--metrics l1,psnr,ssim,lpips`.",
        )
    if sum(clips) < _LEAST_CLIPS:
        return InputError(
            f"For FVD there must be at least {_LEAST_CLIPS} clips, got {sum(clips)}.",
            hint="Take more videos, or leave it out: `--metrics l1,psnr,ssim,lpips`.",
        )
    return None
