from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.errors import ConfigError, InputError
from dancelcm_cli.perception.keypoints import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    NUM_KEYPOINTS,
    RIGHT_HAND,
    SEEN_THRESHOLD,
    annotation_path,
    body_confidence,
    load_detector,
    read_annotation,
)


def annotation(folder: Path, points: np.ndarray, visible: np.ndarray) -> Path:
    path = folder / "clip.npz"
    np.savez(path, keypoints=points, visible=visible)
    return path


def test_the_parts_cover_every_point_once() -> None:
    parts = [BODY, FEET, FACE, LEFT_HAND, RIGHT_HAND]
    points = [point for part in parts for point in range(part.start, part.stop)]
    assert points == list(range(NUM_KEYPOINTS))


def test_annotated_pixels_become_shares_of_the_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (3, NUM_KEYPOINTS, 2)) * (256, 384)
    path = annotation(tmp_path, points, np.ones((3, NUM_KEYPOINTS), bool))
    keypoints = read_annotation(path, height=384, width=256)
    assert keypoints.dtype == np.float32
    np.testing.assert_allclose(keypoints[..., :2] * (256, 384), points, rtol=1e-6)
    assert (keypoints[..., 2] == 1).all()


def test_points_behind_something_are_less_sure_and_points_outside_are_unseen(
    tmp_path: Path,
) -> None:
    points = np.full((1, NUM_KEYPOINTS, 2), 10.0)
    points[0, 1], points[0, 2] = (-1, 10), (np.nan, 10)
    visible = np.ones((1, NUM_KEYPOINTS), bool)
    visible[0, 0] = False
    keypoints = read_annotation(annotation(tmp_path, points, visible), 20, 20)
    assert SEEN_THRESHOLD < keypoints[0, 0, 2] < keypoints[0, 3, 2]
    assert (keypoints[0, [1, 2], 2] == 0).all()
    assert np.isfinite(keypoints).all()


@pytest.mark.parametrize("shape", [(3, 17, 2), (3, NUM_KEYPOINTS, 3), (NUM_KEYPOINTS, 2)])
def test_an_annotation_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = annotation(tmp_path, np.zeros(shape), np.ones((3, NUM_KEYPOINTS), bool))
    with pytest.raises(InputError, match=r"must be \(F, 134, 2\)"):
        read_annotation(path, 10, 10)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_annotation_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"clip\.npz must hold"):
        read_annotation(path, 10, 10)


def test_an_annotation_is_looked_for_beside_the_video(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    assert annotation_path(video) is None
    path = annotation(tmp_path, np.zeros((1, NUM_KEYPOINTS, 2)), np.ones((1, NUM_KEYPOINTS), bool))
    assert annotation_path(video) == path


def test_a_folder_of_frames_may_be_the_one_that_the_user_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip").mkdir()
    monkeypatch.chdir(tmp_path / "clip")
    assert annotation_path(Path(".")) is None
    path = annotation(tmp_path, np.zeros((1, NUM_KEYPOINTS, 2)), np.ones((1, NUM_KEYPOINTS), bool))
    assert annotation_path(Path(".")) == path


def test_an_annotation_of_texts_is_refused(tmp_path: Path) -> None:
    shape = (1, NUM_KEYPOINTS, 2)
    path = annotation(tmp_path, np.full(shape, "1"), np.ones(shape[:2], bool))
    with pytest.raises(InputError, match="got: visible"):
        read_annotation(path, 10, 10)


def test_the_confidence_is_that_of_the_body_alone() -> None:
    keypoints = np.zeros((2, NUM_KEYPOINTS, 3), np.float32)
    keypoints[0, BODY, 2] = 1
    keypoints[:, FACE, 2] = 1
    assert body_confidence(keypoints) == 0.5
    assert body_confidence(keypoints[0]) == 1


def test_an_unknown_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dwpose, openpose or blazepose, got mmpose"):
        load_detector("mmpose", tmp_path)
