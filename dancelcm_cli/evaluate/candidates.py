"""The rows of the table: what each candidate shows of a test video, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat

from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.protocol import (
    Frame,
    Protocol,
    prediction_region,
    resize_region,
    truth_region,
)
from dancelcm_cli.evaluate.sources import FrameSource

REPEATED_REFERENCE = "repeated reference frame"  # what a model has to beat
ROUND_TRIP = "autoencoder round trip"  # what it can hardly beat
REFERENCE_ROWS = (REPEATED_REFERENCE, ROUND_TRIP)


@dataclass(frozen=True)
class Candidate:
    """A row: its name, where its frames come from, and how a video's are got.

    `frames` yields the frame for each of a video's scored indices, in the form in which the given
    protocol compares them. It may be called more than once.
    """

    name: str
    source: str
    frames: Callable[[TestVideo, Protocol], Iterator[Frame]]


def true_frames(video: TestVideo, protocol: Protocol) -> Iterator[Frame]:
    """Yield the scored frames of `video` as `protocol` compares them."""
    for frame in video.truth.frames(video.scored_indices):
        yield _true_frame(frame, protocol)


def repeat_reference() -> Candidate:
    """Return the candidate that shows the reference frame all the time."""

    def frames(video: TestVideo, protocol: Protocol) -> Iterator[Frame]:
        # One object all the time, so that a network needs to look at it only once a batch.
        return repeat(_true_frame(video.reference, protocol), len(video.scored_indices))

    return Candidate(REPEATED_REFERENCE, "", frames)


def show_predictions(
    name: str, source: str, predictions: Mapping[str, FrameSource], whole: bool = False
) -> Candidate:
    """Return the candidate that shows `predictions`, by the name of their video.

    `whole` says that they are known to show all of the source frame, whatever shape they have.
    """

    def frames(video: TestVideo, protocol: Protocol) -> Iterator[Frame]:
        if whole:
            protocol = replace(protocol, prediction_view="source")
        true_height, true_width = video.reference.shape[:2]
        for frame in predictions[video.name].frames(range(len(video.scored_indices))):
            height, width = frame.shape[:2]
            region = prediction_region(protocol, height, width, true_height, true_width)
            yield resize_region(protocol, frame, region)

    return Candidate(name, source, frames)


def _true_frame(frame: Frame, protocol: Protocol) -> Frame:
    height, width = frame.shape[:2]
    return resize_region(protocol, frame, truth_region(protocol, height, width))
