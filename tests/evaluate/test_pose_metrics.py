import numpy as np
import pytest

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.evaluate.datasets import open_dataset
from dancelcm_cli.evaluate.metrics import POSE_METRICS
from dancelcm_cli.evaluate.pose_metrics import PoseMeter, compare_poses
from dancelcm_cli.perception.blazepose import BlazePose

SCALE = np.array([128, 256], np.float32)
TORSO = 0.25 * 256  # pixels, of `standing`


def standing() -> np.ndarray:
    """A body whose neck is a quarter of the frame above its hips."""
    pose = np.full((18, 3), 0.5, np.float32)
    pose[:, 2] = 1
    pose[1, 1] = 0.25
    return pose


def test_a_pose_is_where_it_is() -> None:
    assert compare_poses(standing(), standing(), SCALE) == {"akd": 0, "pck": 1}


def test_distances_are_in_pixels_along_each_axis() -> None:
    moved = standing()
    moved[:, :2] += (3 / 128, 4 / 256)
    values = compare_poses(moved, standing(), SCALE)
    assert values["akd"] == pytest.approx(5, abs=1e-4)


def test_a_joint_beyond_a_fifth_of_the_torso_or_unseen_is_wrong() -> None:
    pose = standing()
    pose[0, 1] += 0.19 * TORSO / 256
    pose[2, 1] += 0.21 * TORSO / 256
    pose[3, 2] = 0
    values = compare_poses(pose, standing(), SCALE)
    assert values["pck"] == pytest.approx(16 / 18)
    assert values["akd"] == pytest.approx(0.4 * TORSO / 17)


def test_what_is_unseen_in_the_truth_does_not_count() -> None:
    truth, pose = standing(), standing()
    truth[4, 2] = 0
    pose[4, :2] = 0
    assert compare_poses(pose, truth, SCALE) == {"akd": 0, "pck": 1}
    truth[1, 2] = 0  # no neck, no torso
    assert compare_poses(pose, truth, SCALE) == {"akd": 0}
    assert compare_poses(pose, np.zeros((18, 3), np.float32), SCALE) == {}


def test_the_detector_tells_a_dancer_from_one_who_stands_still() -> None:
    (video, *_) = open_dataset("dance", None).videos
    frames = list(video.truth.frames((0, 5, 10)))
    moments = [(frame, [frame, frames[0]]) for frame in frames]
    meter = PoseMeter(POSE_METRICS, BlazePose(bundled("blazepose")))
    first, *_, last = meter.measure(moments)
    assert first[0] == first[1] == last[0] == {"akd": 0, "pck": 1}
    assert last[1]["akd"] > 1
    assert last[1]["pck"] < 1
