"""Scores of a pose: the same detector looks at the truth and at what a candidate shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.evaluate.batching import in_batches
from dancelcm_cli.evaluate.meters import Moment, Values
from dancelcm_cli.evaluate.protocol import Frame, stack_frames
from dancelcm_cli.perception.keypoints import BODY, SEEN_THRESHOLD, PoseDetector

FRAMES_AT_ONCE = 64  # the detector follows a person from frame to frame, then looks anew
LONG_SIDE = 256.0  # pixels of the frame that distances are given in
PCK_SHARE = 0.2  # of the torso, within which a joint counts as right
NECK, HIPS = 1, [8, 11]

Keypoints = NDArray[np.float32]


class PoseMeter:
    """Measures `metrics`, some of `POSE_METRICS`; a frame whose true dancer is unseen has none."""

    life_size = True

    def __init__(self, metrics: Sequence[MetricName], detector: PoseDetector) -> None:
        self.metrics = metrics
        self._detector = detector

    def measure(self, moments: Iterable[Moment]) -> Iterator[Sequence[Values]]:
        """Yield the values of each candidate at each moment."""
        for batch in in_batches(moments, FRAMES_AT_ONCE):
            truth = [moment[0] for moment in batch]
            shown = zip(*(moment[1] for moment in batch), strict=True)
            height, width = truth[0].shape[:2]
            scale = np.array([width, height], np.float32) * LONG_SIDE / max(height, width)
            true_poses = self._detect(truth)
            poses = [self._detect(frames) for frames in shown]
            for place, true_pose in enumerate(true_poses):
                yield [
                    self._chosen(compare_poses(of_video[place], true_pose, scale))
                    for of_video in poses
                ]

    def _detect(self, frames: Sequence[Frame]) -> Keypoints:
        """Return the body points (F, 18, 3); a still is looked at once."""
        if all(frame is frames[0] for frame in frames):
            poses = self._detector.detect(frames[0][None])
            return np.repeat(poses[:, BODY], len(frames), axis=0)
        return self._detector.detect(stack_frames(frames))[:, BODY]

    def _chosen(self, values: Values) -> Values:
        return {name: values[name] for name in self.metrics if name in values}


def compare_poses(pose: Keypoints, truth: Keypoints, scale: NDArray[np.float32]) -> Values:
    """Return the average keypoint distance in pixels and the percentage of correct keypoints.

    Args:
        pose: (18, 3) x, y and score of the body points; x and y in shares of the frame.
        truth: The same of the true frame; only the joints seen there count.
        scale: (2,) what a share of 1 is worth in pixels.

    Returns:
        "akd" over the joints seen in both, "pck" in [0, 1], where an unseen joint is a wrong one;
        without a joint or a torso to measure by, not there.
    """
    expected = truth[:, 2] > SEEN_THRESHOLD
    both = expected & (pose[:, 2] > SEEN_THRESHOLD)
    distances = np.linalg.norm((pose[:, :2] - truth[:, :2]) * scale, axis=-1)
    values: dict[MetricName, float] = {}
    if both.any():
        values["akd"] = float(distances[both].mean())
    if expected[[NECK, *HIPS]].all():
        torso = np.linalg.norm((truth[NECK, :2] - truth[HIPS, :2].mean(axis=0)) * scale)
        right = both & (distances <= PCK_SHARE * torso)
        values["pck"] = float(right[expected].mean())
    return values
