"""Why the numbers of an evaluation cannot be set beside those of the papers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dancelcm_cli.evaluate.datasets import Dataset, TestVideo
from dancelcm_cli.evaluate.estimates import ClipFacts
from dancelcm_cli.evaluate.metrics import select_metrics
from dancelcm_cli.evaluate.protocol import DISCO_256, Protocol

_LONG_VIDEO = 100  # frames; from here on a single one changes little
_ENOUGH_CLIPS = 400  # as many as I3D has logits: with fewer their covariance is not of full rank


@dataclass(frozen=True)
class Scored:
    """What was scored: the frames of `videos`, `coverage` of those that were asked for.

    `lossy` is the number of predicted videos that were read from files that may have lost quality,
    and `unused` are the names of predictions of no test video.
    """

    videos: Sequence[TestVideo]
    coverage: float
    lossy: int
    unused: Sequence[str]


def comparability_notes(
    test_set: Dataset,
    protocol: Protocol,
    scored: Scored,
    clips: ClipFacts | None,
    skipped: Mapping[str, str],
) -> tuple[str, ...]:
    """Return a sentence for each reason."""
    return (
        *test_set.notes,
        *_protocol_notes(test_set, protocol),
        *_coverage_notes(protocol, scored),
        *_clip_notes(protocol, clips),
        *(
            f"{metric.label} is skipped. {skipped[metric.name]}"
            for metric in select_metrics([name for name in protocol.metrics if name in skipped])
        ),
    )


def _protocol_notes(test_set: Dataset, protocol: Protocol) -> Iterator[str]:
    if protocol.name != DISCO_256.name:
        yield f"Protocol {protocol.name}: the papers use DisCo's definitions (disco-256)."
    if (protocol.height, protocol.width) != (DISCO_256.height, DISCO_256.width):
        yield (
            f"Size {protocol.height} x {protocol.width}: the papers compare frames of 256 x 256"
            " pixels, and every metric depends on the size."
        )
    if protocol.geometry != test_set.geometry:
        yield f"Geometry {protocol.geometry}: {test_set.name} is measured with {test_set.geometry}."
    if "lpips" in protocol.metrics and protocol.lpips_range != DISCO_256.lpips_range:
        yield (
            f"LPIPS of pixels in the range {protocol.lpips_range!r}: DisCo's are lower, as it gives"
            " the network [0, 1] in place of [-1, 1]."
        )
    if "psnr_uint8_overflow" in protocol.metrics:
        yield "PSNR uint8 overflow is a mistake that old tables hold: it tells nothing of quality."


def _coverage_notes(protocol: Protocol, scored: Scored) -> Iterator[str]:
    shortest = min(len(video.scored_indices) for video in scored.videos)
    if protocol.include_reference_frame and shortest < _LONG_VIDEO:
        yield (
            "The reference frame is scored, too, as in the papers: in short videos the 100 dB of"
            " its exact copy lift the mean. `--set evaluate.protocol=textbook` leaves it out."
        )
    if scored.coverage < 1:
        yield f"Incomplete: {scored.coverage:.1%} of the frames are predicted and scored."
    shortened = sum(len(v.scored_indices) < v.truth.num_frames for v in scored.videos)
    if shortened:
        yield f"Only a part of the frames of {shortened} videos is scored."
    torn = sum(_has_gaps(video) for video in scored.videos)
    if torn:
        yield (
            f"Frames are missing inside {torn} videos: FVD's clips, and what is measured from frame"
            " to frame, run across the gaps."
        )
    if scored.lossy:
        yield f"{scored.lossy} predictions were read from files that may have lost quality: no PNG."
    if scored.unused:
        yield f"Predictions of no test video were left out: {', '.join(scored.unused)}."


def _has_gaps(video: TestVideo) -> bool:
    steps = {later - earlier for earlier, later in pairwise(video.scored_indices)}
    return len(steps) > 1


def _clip_notes(protocol: Protocol, clips: ClipFacts | None) -> Iterator[str]:
    if clips is None:
        return
    floor = clips.split_half_floor
    yield f"FVD of {clips.num_clips} clips" + (
        "." if floor is None else f"; one half of the truth is {floor:.1f} away from the other."
    )
    if clips.num_clips < _ENOUGH_CLIPS:
        yield (
            f"FVD of fewer than {_ENOUGH_CLIPS} clips is too large: it can be compared only within"
            " this table."
        )
    if protocol.fvd_stride != DISCO_256.fvd_stride:
        yield (
            f"FVD with every {protocol.fvd_stride}th frame starting a clip: in DisCo's every frame"
            " does."
        )
    if protocol.fvd_resize != DISCO_256.fvd_resize:
        yield f"FVD of clips resized by {protocol.fvd_resize!r}: DisCo uses Pillow's bicubic."
    if protocol.fvd_codec == "none":
        yield (
            "FVD of frames as they are: DisCo's own table compressed both sides, which adds about"
            " 2 %; for later papers it is unknown. `--set evaluate.fvd_codec=h264` does it."
        )
