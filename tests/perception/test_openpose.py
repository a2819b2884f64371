from pathlib import Path

import numpy as np
import pytest
import torch

from dancelcm_cli.errors import WeightsMissingError
from dancelcm_cli.perception.keypoints import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    RIGHT_HAND,
    load_detector,
)
from dancelcm_cli.perception.openpose import PoseResult, sighting_of

body_module = pytest.importorskip("controlnet_aux.open_pose.body")  # now that it is quiet
BodyResult, Keypoint = body_module.BodyResult, body_module.Keypoint


def found(number: int) -> list:
    return [Keypoint(0.5, index / 100) for index in range(number)]


def body(points: list) -> object:
    return BodyResult(points, 10.0, len(points))


def test_what_openpose_finds_is_put_into_our_order() -> None:
    points: list = [Keypoint(index / 20, 0.5) for index in range(18)]
    points[3] = None
    hand = found(21)
    hand[4] = Keypoint(-0.01, -0.02)  # not found
    seen = sighting_of(PoseResult(body(points), hand, None, found(70)), 100, 200)
    assert seen is not None
    pose = seen.pose
    assert pose[BODY][[0, 17]].tolist() == [[0, 50, 1], [170, 50, 1]]
    assert pose[3, 2] == 0
    assert pose[LEFT_HAND, 2].tolist() == [1, 1, 1, 1, 0, *[1] * 16]
    assert pose[LEFT_HAND][20].tolist() == [100, 20, 1]
    assert not pose[RIGHT_HAND].any() and not pose[FEET].any()
    assert pose[FACE][67].tolist() == [100, 67, 1]
    assert seen.box.tolist() == [0, 50, 170, 50]


def test_a_face_of_which_points_are_missing_is_left_out() -> None:
    seen = sighting_of(PoseResult(body(list(found(18))), None, None, found(66)), 100, 200)
    assert seen is not None
    assert not seen.pose[FACE].any()


def test_nobody_is_seen_without_a_body_point() -> None:
    assert sighting_of(PoseResult(body([None] * 18), None, None, None), 100, 200) is None


def test_a_missing_network_is_named_with_what_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"body_pose_model\.pth") as caught:
        load_detector("openpose", tmp_path)
    assert caught.value.hint == "Type: dancelcm models fetch openpose-body"


@pytest.mark.slow
def test_networks_of_the_published_layout_are_read_and_see_nobody_in_noise(tmp_path: Path) -> None:
    from controlnet_aux.open_pose.face import FaceNet
    from controlnet_aux.open_pose.model import bodypose_model, handpose_model

    parts = {
        "openpose-body/body_pose_model.pth": bodypose_model(),
        "openpose-hand/hand_pose_model.pth": handpose_model(),
        "openpose-face/facenet.pth": FaceNet(),
    }
    for name, network in parts.items():
        (tmp_path / name).parent.mkdir()
        # The published body and hand files leave out the first part of our names.
        state = network.state_dict()
        if "facenet" not in name:
            state = {key.split(".", 1)[1]: value for key, value in state.items()}
        torch.save(state, tmp_path / name)
    detector = load_detector("openpose", tmp_path)
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
    assert detector.detect(frames).shape == (2, 134, 3)
    assert detector.count_people(frames[0]) == 0
    assert detector.device == "cpu"
