"""From test videos and what candidates show of them to rows of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dancelcm_cli.core.processes import Processes
from dancelcm_cli.evaluate.batching import collect, deal
from dancelcm_cli.evaluate.candidates import Candidate
from dancelcm_cli.evaluate.costs import Cost
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.estimates import ClipFacts, Estimate
from dancelcm_cli.evaluate.frame_log import join_frame_logs, open_frame_log
from dancelcm_cli.evaluate.networks import Networks
from dancelcm_cli.evaluate.protocol import Protocol
from dancelcm_cli.evaluate.results import ResultRow, make_row
from dancelcm_cli.evaluate.scoring import VideoScores, score_video
from dancelcm_cli.evaluate.video_metrics import measure_fvd
from dancelcm_cli.progress import Progress

NO_COSTS: Mapping[str, Cost] = {}


def measure(
    videos: Sequence[TestVideo],
    candidates: Sequence[Candidate],
    protocol: Protocol,
    networks: Networks,
    progress: Progress,
    log: Path,
    processes: Processes,
    costs: Mapping[str, Cost] = NO_COSTS,
) -> tuple[tuple[ResultRow, ...], ClipFacts | None]:
    """Return the row of each candidate, and what FVD stands on where it is measured.

    Of frames only sums are kept, and of clips their 400 features; what every frame scored goes into
    the file `log`. Each process measures its own videos, and all of them return the same.

    Raises:
        InputError: A frame cannot be read, or a video has none to be scored.
    """
    own = deal(videos, processes.rank, processes.count)
    parts = [log.with_name(f"{rank}-{log.name}") for rank in range(processes.count)]
    with open_frame_log(parts[processes.rank]) as frame_log:
        scores = [
            score_video(video, candidates, protocol, networks.meters, frame_log)
            for video in progress.track(own, "Scoring frames", len(own))
        ]
    scores = collect(processes.gather(scores))
    if processes.first:
        join_frame_logs(parts, log)
    fvds: Sequence[Estimate | None] = [None] * len(candidates)
    clips = None
    if networks.clips is not None:
        fvds, clips = measure_fvd(videos, candidates, networks.clips, progress, processes)
    rows = tuple(
        _row(candidate, [of_video[place] for of_video in scores], fvd, costs)
        for place, (candidate, fvd) in enumerate(zip(candidates, fvds, strict=True))
    )
    return rows, clips


def _row(
    candidate: Candidate,
    scores: Sequence[VideoScores],
    fvd: Estimate | None,
    costs: Mapping[str, Cost],
) -> ResultRow:
    return make_row(candidate.name, candidate.source, scores, fvd, costs.get(candidate.name))
