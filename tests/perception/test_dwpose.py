from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.errors import InputError, WeightsMissingError
from dancelcm_cli.perception.dwpose import BOXES_FILE, POINTS_FILE, DWPose
from dancelcm_cli.perception.keypoints import PoseDetector, load_detector
from tests.perception.tiny_onnx import write_models

HEIGHT, WIDTH = 320, 480


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> PoseDetector:
    return load_detector("dwpose", write_models(tmp_path_factory.mktemp("models")))


def dance(num_frames: int, *starts: int) -> NDArray[np.uint8]:
    """Bright squares that go right by four pixels a frame; the first is the largest."""
    frames = np.zeros((num_frames, HEIGHT, WIDTH, 3), np.uint8)
    for index, frame in enumerate(frames):
        for number, start in enumerate(starts):
            left = start + 4 * index
            frame[96 : 144 - 4 * number, left : left + 48 - 4 * number] = 255
    return frames


@pytest.mark.parametrize("num_frames", [1, 2, 5, 6, 13])
def test_a_dancer_is_followed_through_every_frame(detector: DWPose, num_frames: int) -> None:
    keypoints = detector.detect(dance(num_frames, 48))
    assert keypoints.shape == (num_frames, 134, 3) and keypoints.dtype == np.float32
    assert (keypoints[..., 2] > 0.3).all()
    columns, rows = keypoints[..., 0] * WIDTH, keypoints[..., 1] * HEIGHT
    left = 48 + 4 * np.arange(num_frames)[:, None]
    assert (columns >= left - 2).all() and (columns <= left + 50).all()
    assert (rows >= 94).all() and (rows <= 146).all()


def test_the_person_that_is_named_is_followed(detector: DWPose) -> None:
    frames = dance(6, 288, 48)
    first = detector.detect(frames, 1)[0, 0, 0] * WIDTH
    second = detector.detect(frames, 2)[0, 0, 0] * WIDTH
    assert 46 <= first <= 94
    assert 286 <= second <= 338
    assert not detector.detect(frames, 3).any()


def test_people_are_counted(detector: DWPose) -> None:
    assert [detector.count_people(dance(1, *xs)[0]) for xs in ((), (48,), (48, 288))] == [0, 1, 2]


def test_a_frame_without_anybody_at_its_ends_stays_empty(detector: DWPose) -> None:
    frames = dance(16, 48)
    frames[:5] = frames[11:] = 0
    seen = detector.detect(frames)[..., 2].any(axis=1)
    assert not seen[[0, 1, 2, 3, 4, 11, 12, 13, 14, 15]].any()
    assert seen[[5, 6, 7, 8, 9, 10]].all()


def test_a_missing_network_is_named_with_what_fetches_it(tmp_path: Path) -> None:
    models = write_models(tmp_path)
    (models / POINTS_FILE).unlink()
    with pytest.raises(WeightsMissingError, match=r"dw-ll_ucoco_384\.onnx") as caught:
        load_detector("dwpose", models)
    assert caught.value.hint == "Type: dancelcm models fetch dwpose-body"


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    models = write_models(tmp_path)
    (models / BOXES_FILE).write_bytes(b"no network")
    with pytest.raises(InputError, match="must be a network in ONNX format"):
        load_detector("dwpose", models)
