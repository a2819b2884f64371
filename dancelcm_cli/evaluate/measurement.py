"""From test videos and what candidates show of them to rows of scores."""

from __future__ import annotations

from collections.abc import Sequence

from dancelcm_cli.evaluate.candidates import Candidate
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.estimates import ClipFacts, Estimate
from dancelcm_cli.evaluate.networks import Networks
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.evaluate.results import ResultRow, make_row
from dancelcm_cli.evaluate.scoring import score_video
from dancelcm_cli.evaluate.video_metrics import measure_fvd
from dancelcm_cli.progress import Progress


def measure(
    videos: Sequence[TestVideo],
    candidates: Sequence[Candidate],
    protocol: Protocol,
    networks: Networks,
    progress: Progress,
) -> tuple[tuple[ResultRow, ...], ClipFacts | None]:
    """Return the row of each candidate, and what FVD stands on where it is measured.

    Of frames only sums are kept, and of clips their 400 features.

    Raises:
        InputError: A frame cannot be read, or a video has none to be scored.
    """
    metrics = [name for name in protocol.metrics if name != "fvd" and name not in networks.skipped]
    scores = [
        score_video(video, candidates, protocol, metrics, networks.perceptual)
        for video in progress.track(videos, "Scoring frames", len(videos))
    ]
    fvds: Sequence[Estimate | None] = [None] * len(candidates)
    clips = None
    if networks.clips is not None:
        fvds, clips = measure_fvd(videos, candidates, networks.clips, progress)
    rows = tuple(
        make_row(candidate.name, candidate.source, [of_video[place] for of_video in scores], fvd)
        for place, (candidate, fvd) in enumerate(zip(candidates, fvds, strict=True))
    )
    return rows, clips
