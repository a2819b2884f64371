"""How frames are brought to the form in which they are compared: every choice by its name.

A number means something only together with these choices, so they are saved with each result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.config.schema import (
    EvaluateConfig,
    FvdCodec,
    FvdResize,
    LpipsRange,
    MetricName,
)
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.metrics import FACE_METRICS, MOTION_METRICS, POSE_METRICS

Frame = NDArray[np.uint8]
Geometry = Literal["square-crop", "squash"]
Resize = Literal["pil-bilinear"]  # Pillow's kernel is antialiased
PredictionView = Literal["auto", "source", "cropped"]

LIFE_SIZE = 640  # pixels of the longer side of frames that keep their aspect, at most


@dataclass(frozen=True)
class Protocol:
    """The choices behind a number.

    `geometry` says what is compared of a frame that is not square: its centred square
    ("square-crop") or all of it, squeezed ("squash"). `prediction_view` says what a prediction of
    unknown origin shows where the truth is cropped: the whole source frame, the cropped square, or
    ("auto") the cropped square if the prediction is square and the whole source frame if it is not.
    Predictions that an evaluation has made always show the whole source frame.

    `lpips_range` is the range of the pixels that LPIPS's network gets: it was made for [-1, 1]
    ("signed"), DisCo gives it [0, 1] ("unit"). FVD takes clips of 16 frames, of which every
    `fvd_stride`-th frame starts one; the reference frame is always among them. `fvd_resize` brings
    a clip to I3D's size: Pillow's antialiased kernel as in DisCo, or ("bilinear") without
    antialiasing as in VideoGPT. With `fvd_codec` "h264" truth and prediction are first compressed
    clip by clip, as the videos of DisCo's own table were.

    A metric's mean is always over all frames of all videos, so that long videos count for more.
    """

    name: str
    height: int = 256  # of the compared frames, pixels
    width: int = 256
    resize: Resize = "pil-bilinear"
    geometry: Geometry = "square-crop"
    prediction_view: PredictionView = "auto"
    include_reference_frame: bool = True  # DisCo scores the frame that was given, too
    metrics: tuple[MetricName, ...] = (
        "l1", "psnr", "ssim", "lpips", "fvd", "mae", "ssim_gaussian",
    )  # fmt: skip
    lpips_range: LpipsRange = "unit"
    fvd_stride: int = 1  # frames
    fvd_resize: FvdResize = "pil-bicubic"
    fvd_codec: FvdCodec = "none"


DISCO_256 = Protocol("disco-256")
TEXTBOOK = Protocol(
    "textbook",
    include_reference_frame=False,
    metrics=("mae", "psnr", "ssim_gaussian", "lpips", "fvd"),
    lpips_range="signed",
)


def make_protocol(config: EvaluateConfig, geometry: Geometry) -> Protocol:
    """Return the preset that `config` names, with its switches; `geometry` is the data set's."""
    preset = TEXTBOOK if config.protocol == TEXTBOOK.name else DISCO_256
    beyond = (*FACE_METRICS, *MOTION_METRICS) if config.beyond else ()
    metrics = config.metrics or (*preset.metrics, *beyond)
    if config.pose:
        metrics = tuple(dict.fromkeys((*metrics, *POSE_METRICS)))
    return replace(
        preset,
        height=config.height,
        width=config.width,
        geometry=geometry if config.geometry == "auto" else config.geometry,
        metrics=metrics,
        lpips_range=preset.lpips_range if config.lpips_range == "auto" else config.lpips_range,
        fvd_stride=config.fvd_stride,
        fvd_resize=config.fvd_resize,
        fvd_codec=config.fvd_codec,
    )


def life_size(protocol: Protocol, frame: Frame) -> Protocol:
    """Return `protocol` for frames that keep the aspect of the true `frame` (H, W, 3).

    Detectors of faces and people know them as they are, not squeezed. Large frames are made
    smaller.
    """
    left, top, right, bottom = truth_region(protocol, *frame.shape[:2])
    scale = min(1.0, LIFE_SIZE / max(bottom - top, right - left))
    height, width = round((bottom - top) * scale), round((right - left) * scale)
    return replace(protocol, height=height, width=width)


def stack_frames(frames: Sequence[Frame]) -> Frame:
    """Return `frames` as (F, H, W, 3), as a network gets them.

    Raises:
        InputError: One is no 8-bit RGB frame, or of another size than the first.
    """
    for frame in frames:
        if frame.dtype != np.uint8 or frame.shape != (*frames[0].shape[:2], 3):
            raise InputError(
                f"Frames must be uint8 of one shape (H, W, 3), got {frame.dtype} {frame.shape}.",
                hint="Convert them to 8-bit RGB pictures of one size.",
            )
    return np.stack(frames)


class Region(NamedTuple):
    """A rectangle of a frame in pixels; the right and bottom edges lie outside."""

    left: float
    top: float
    right: float
    bottom: float


def truth_region(protocol: Protocol, height: int, width: int) -> Region:
    """Return which part of a `height` x `width` source frame is compared."""
    if protocol.geometry == "squash":
        return Region(0, 0, width, height)
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2  # rounded as torchvision's crop is
    return Region(left, top, left + side, top + side)


def prediction_region(
    protocol: Protocol, height: int, width: int, truth_height: int, truth_width: int
) -> Region:
    """Return the part of a `height` x `width` prediction that shows the truth's region."""
    already_cropped = protocol.prediction_view == "cropped" or (
        protocol.prediction_view == "auto" and height == width
    )
    if protocol.geometry == "square-crop" and already_cropped:
        return Region(0, 0, width, height)
    left, top, right, bottom = truth_region(protocol, truth_height, truth_width)
    return Region(
        left * width / truth_width,
        top * height / truth_height,
        right * width / truth_width,
        bottom * height / truth_height,
    )


def resize_region(protocol: Protocol, frame: Frame, region: Region) -> Frame:
    """Return `region` of `frame` (H, W, 3) at the protocol's size, uint8 RGB."""
    left, top = math.floor(region.left), math.floor(region.top)
    right, bottom = math.ceil(region.right), math.ceil(region.bottom)
    # Cut first: Pillow's `box` alone would let the kernel reach beyond the region's edge.
    picture = Image.fromarray(np.ascontiguousarray(frame[top:bottom, left:right]))
    box = (region.left - left, region.top - top, region.right - left, region.bottom - top)
    resized = picture.resize((protocol.width, protocol.height), Image.Resampling.BILINEAR, box)
    return np.asarray(resized)
