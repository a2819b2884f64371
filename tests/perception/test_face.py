from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.perception.face import FaceCropper
from dancelcm_cli.perception.keypoints import FACE

Frames = NDArray[np.uint8]
Keypoints = NDArray[np.float32]
NOSE = 0


@pytest.fixture(scope="module")
def cropper() -> FaceCropper:
    return FaceCropper()


def nose(pose: Keypoints, width: int = 256, height: int = 384) -> NDArray[np.float32]:
    return pose[NOSE, :2] * (width, height)


def test_the_face_is_in_the_middle_of_its_crop(
    cropper: FaceCropper, dancer_frames: Frames, dancer: Keypoints
) -> None:
    face = cropper.crop(dancer_frames[0], 64)
    assert face is not None
    assert face.image.shape == (64, 64, 3)
    assert face.probability > 0.9
    left, top, right, bottom = face.box
    assert right - left == bottom - top
    middle = np.array([left + right, top + bottom]) / 2
    assert np.linalg.norm(middle - nose(dancer[0])) < (right - left) / 5


def test_the_crop_shows_its_box(cropper: FaceCropper, dancer_frames: Frames) -> None:
    small = cropper.crop(dancer_frames[0], 64)
    assert small is not None
    left, top, right, bottom = small.box
    face = cropper.crop(dancer_frames[0], right - left)
    assert face is not None
    assert face.box == small.box
    assert (face.image == dancer_frames[0, top:bottom, left:right]).all()


def test_the_same_face_is_found_in_a_smaller_picture(
    cropper: FaceCropper, dancer_frames: Frames
) -> None:
    whole = cropper.crop(dancer_frames[0], 64)
    part = cropper.crop(dancer_frames[0, :200], 64)
    assert whole is not None
    assert part is not None
    np.testing.assert_allclose(part.box, whole.box, atol=6)


@pytest.mark.parametrize("shape", [(64, 48, 3), (8, 8, 3), (1, 300, 3)])
def test_no_face_gives_none(cropper: FaceCropper, shape: tuple[int, int, int]) -> None:
    assert cropper.crop(np.zeros(shape, np.uint8), 32) is None


@pytest.mark.parametrize("hidden", [[], FACE])
def test_keypoints_are_a_second_chance(
    cropper: FaceCropper, dancer: Keypoints, hide: Callable[..., Keypoints], hidden: object
) -> None:
    nothing = np.full((384, 256, 3), 90, np.uint8)
    face = cropper.crop(nothing, 32, hide(dancer[0], hidden, 0.0))
    assert face is not None
    left, top, right, bottom = face.box
    middle = np.array([left + right, top + bottom]) / 2
    assert np.linalg.norm(middle - nose(dancer[0])) < (right - left) / 4
    assert 20 < right - left < 80


def test_a_turned_head_is_no_face(
    cropper: FaceCropper, dancer: Keypoints, hide: Callable[..., Keypoints]
) -> None:
    nothing = np.full((384, 256, 3), 90, np.uint8)
    assert cropper.crop(nothing, 32, hide(dancer[0], [NOSE])) is None


def test_beyond_the_frame_its_edge_goes_on(cropper: FaceCropper, dancer: Keypoints) -> None:
    corner = dancer[0].copy()
    corner[:, :2] -= corner[NOSE, :2]
    face = cropper.crop(np.full((384, 256, 3), 90, np.uint8), 32, corner)
    assert face is not None
    assert face.box[0] < 0
    assert (face.image == 90).all()


def test_of_two_faces_it_is_the_one_of_the_person(
    cropper: FaceCropper, dancer_frames: Frames, dancer: Keypoints
) -> None:
    small, large = dancer_frames[0], cv2.resize(dancer_frames[0], (512, 768))
    pair = np.zeros((768, 768, 3), np.uint8)
    pair[:, 256:], pair[:384, :256] = large, small
    ours = dancer[0].copy()
    ours[:, :2] *= (256 / 768, 384 / 768)
    largest, own = cropper.crop(pair, 32), cropper.crop(pair, 32, ours)
    assert largest is not None and own is not None
    assert own.box[2] < 256 < largest.box[0]
    expected = cropper.crop(small, 32)
    assert expected is not None
    np.testing.assert_allclose(own.box, expected.box, atol=6)


def test_a_face_of_somebody_else_is_none(
    cropper: FaceCropper, dancer_frames: Frames, dancer: Keypoints, hide: Callable[..., Keypoints]
) -> None:
    elsewhere = dancer[0].copy()
    elsewhere[:, 1] += 0.4
    elsewhere[[NOSE, 14, 15], 2] = 0.5  # on the far side of the head
    assert cropper.crop(dancer_frames[0], 32, elsewhere) is None
    headless = hide(dancer[0], [NOSE, 14, 15, 16, 17], 0.0)
    assert cropper.crop(dancer_frames[0], 32, headless) is None


def test_small_faces_are_looked_at_closely(
    cropper: FaceCropper, dancer_frames: Frames, dancer: Keypoints
) -> None:
    hidden = dancer.copy()
    hidden[:, [NOSE, 14, 15], 2] = 0.5  # so that the points cannot stand in for the face
    tiny = [cv2.resize(frame, (73, 110), interpolation=cv2.INTER_AREA) for frame in dancer_frames]
    alone = [cropper.crop(frame, 32) for frame in tiny]
    known = [cropper.crop(frame, 32, pose) for frame, pose in zip(tiny, hidden, strict=True)]
    missed = alone.count(None)
    assert missed >= 4  # of 6: they are 8 pixels wide
    assert sum(face is not None for face in known) >= 6 - missed + 2
