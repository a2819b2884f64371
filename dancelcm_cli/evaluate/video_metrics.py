"""FVD of every candidate against the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dancelcm_cli.core.processes import Processes
from dancelcm_cli.evaluate.batching import collect, deal
from dancelcm_cli.evaluate.candidates import Candidate, true_frames
from dancelcm_cli.evaluate.clip_features import Features, clip_features
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.estimates import ClipFacts, Estimate, estimate_fvd, split_half_floor
from dancelcm_cli.evaluate.feature_cache import cached_features, features_key
from dancelcm_cli.evaluate.i3d import I3D
from dancelcm_cli.evaluate.protocol import Frame, Protocol
from dancelcm_cli.progress import Progress


class ClipMeter:
    """Turns videos into the features of their clips; those of the truth are kept for next time."""

    def __init__(
        self, network: I3D, weights_sha256: str, protocol: Protocol, batch_size: int
    ) -> None:
        self._network = network
        self._weights_sha256 = weights_sha256
        self.protocol = protocol
        self._batch_size = batch_size

    def features(self, frames: Iterable[Frame]) -> Features:
        """Return the features (clips, 400) of a video in the form in which it is compared."""
        return clip_features(self._network, frames, self.protocol, self._batch_size)

    def true_features(self, video: TestVideo) -> Features:
        """Return the features of the true frames of `video`."""
        key = features_key(video, self.protocol, self._weights_sha256)
        return cached_features(key, lambda: self.features(true_frames(video, self.protocol)))


def measure_fvd(
    videos: Sequence[TestVideo],
    candidates: Sequence[Candidate],
    meter: ClipMeter,
    progress: Progress,
    processes: Processes,
) -> tuple[list[Estimate], ClipFacts]:
    """Return the FVD of each candidate over all clips of `videos`, and what it stands on.

    Each process looks at its own videos, and all of them return the same.

    Raises:
        InputError: A frame cannot be read.
    """
    own = deal(videos, processes.rank, processes.count)
    tracked = progress.track(own, "FVD: truth", len(own))
    truth = collect(processes.gather([meter.true_features(video) for video in tracked]))
    estimates = []
    for candidate in candidates:
        tracked = progress.track(own, f"FVD: {candidate.name}", len(own))
        features = [meter.features(candidate.frames(video, meter.protocol)) for video in tracked]
        estimates.append(estimate_fvd(truth, collect(processes.gather(features))))
    return estimates, ClipFacts(sum(map(len, truth)), split_half_floor(truth))
