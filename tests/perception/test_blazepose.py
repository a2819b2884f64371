from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import iter_frames
from dancelcm_cli.errors import WeightsMissingError
from dancelcm_cli.perception.keypoints import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    RIGHT_HAND,
    SEEN_THRESHOLD,
    PoseDetector,
    load_detector,
)

Frames = NDArray[np.uint8]
Keypoints = NDArray[np.float32]


@pytest.fixture(scope="module")
def detector() -> PoseDetector:
    return load_detector("blazepose", bundled("blazepose"))


@pytest.fixture(scope="module")
def detected(detector: PoseDetector, dancer_frames: Frames) -> Keypoints:
    return detector.detect(dancer_frames)


def errors(detected: Keypoints, exact: Keypoints) -> NDArray[np.float64]:
    """The distances (F, 134) in body heights."""
    pixels = (detected - exact)[..., :2] * (256, 384)
    height = np.ptp(exact[:, BODY, 1], axis=1).max() * 384
    return np.asarray(np.linalg.norm(pixels, axis=-1) / height)


@pytest.mark.parametrize(
    ("part", "limit"),
    [(BODY, 0.02), (FEET, 0.03), (FACE, 0.01), (LEFT_HAND, 0.015), (RIGHT_HAND, 0.015)],
)
def test_points_lie_where_they_are(
    detected: Keypoints, dancer: Keypoints, part: slice, limit: float
) -> None:
    seen = dancer[:, part, 2] == 1
    assert np.median(errors(detected, dancer)[:, part][seen]) < limit


def test_left_and_right_are_the_dancers(detected: Keypoints, dancer: Keypoints) -> None:
    swapped = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
    mirrored = detected.copy()
    mirrored[:, BODY] = detected[:, swapped]
    assert errors(detected, dancer)[:, BODY].mean() < errors(mirrored, dancer)[:, BODY].mean() / 3


def test_people_are_counted(detector: PoseDetector, dancer_frames: Frames) -> None:
    real = next(iter_frames(bundled("samples/person.mp4"), [0]))
    alone, nobody = dancer_frames[0], np.full((96, 64, 3), 127, np.uint8)
    pair = np.concatenate([real, alone], axis=1)
    crowd = np.concatenate([alone, real, dancer_frames[3]], axis=1)
    pictures = (nobody, alone, real, pair, crowd)
    assert [detector.count_people(picture) for picture in pictures] == [0, 1, 1, 2, 3]


def test_scores_say_that_the_dancer_is_seen(detected: Keypoints) -> None:
    assert detected.dtype == np.float32
    assert (detected[:, BODY, 2] > SEEN_THRESHOLD).all()
    assert ((detected[..., 2] >= 0) & (detected[..., 2] <= 1)).all()


def test_a_clip_gives_the_same_points_every_time(
    detector: PoseDetector, detected: Keypoints, dancer_frames: Frames
) -> None:
    assert (detector.detect(dancer_frames[:2]) == detected[:2]).all()


def test_a_person_is_found_again_after_an_empty_frame(
    detector: PoseDetector, dancer_frames: Frames, dancer: Keypoints
) -> None:
    frames = dancer_frames[:3].copy()
    frames[1] = 0
    detected = detector.detect(frames)
    assert not detected[1].any()
    assert np.median(errors(detected, dancer[:3])[2, BODY]) < 0.03


def test_of_two_people_the_one_before_is_followed_on(
    detector: PoseDetector, dancer_frames: Frames
) -> None:
    small = np.zeros_like(dancer_frames)
    for frame, shrunk in zip(dancer_frames, small, strict=True):
        shrunk[64:352, 32:224] = cv2.resize(frame, (192, 288), interpolation=cv2.INTER_AREA)
    pair = np.concatenate([small, dancer_frames], axis=2)
    largest = detector.detect(pair[:2])
    assert (largest[:, 0, 0] > 0.5).all()
    left = detector.detect(pair[:1], 1)[0]
    assert left[0, 0] < 0.5
    followed = detector.detect(pair[1:3], before=left)
    assert (followed[:, 0, 0] < 0.5).all()
    assert (detector.detect(pair[1:2], before=largest[0]) == detector.detect(pair[1:2])).all()
    far = left.copy()
    far[:, 1] -= 3  # nobody is near
    assert (detector.detect(pair[1:2], before=far) == detector.detect(pair[1:2])).all()


def test_one_person_is_found_as_ever_wherever_it_was_before(
    detector: PoseDetector, dancer_frames: Frames, detected: Keypoints
) -> None:
    again = detector.detect(dancer_frames[2:4], before=detected[1])
    assert (again == detector.detect(dancer_frames[2:4])).all()


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"pose_detection\.tflite"):
        load_detector("blazepose", tmp_path)
