import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dancelcm_cli.config.schema import Fit
from dancelcm_cli.data.fitting import fit_frame, fit_keypoints

FITS: tuple[Fit, ...] = ("squash", "crop", "pad")
sides = st.integers(8, 96)


@given(sides, sides, sides, sides, st.sampled_from(FITS))
@settings(max_examples=100, deadline=None)
def test_any_frame_fits_any_size(h: int, w: int, height: int, width: int, fit: Fit) -> None:
    frame = np.full((h, w, 3), 200, np.uint8)
    fitted = fit_frame(frame, height, width, fit)
    assert fitted.shape == (height, width, 3)
    assert fitted.dtype == np.uint8
    if fit != "pad":
        assert (fitted == 200).all()


@pytest.mark.parametrize("fit", FITS)
def test_a_frame_of_the_right_size_stays_as_it_is(fit: Fit) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (12, 8, 3), np.uint8)
    assert (fit_frame(frame, 12, 8, fit) == frame).all()


@given(sides, sides, st.sampled_from(FITS), st.floats(0.3, 0.7), st.floats(0.3, 0.7))
@settings(max_examples=60, deadline=None)
def test_keypoints_stay_on_what_they_mark(h: int, w: int, fit: Fit, x: float, y: float) -> None:
    """A bright spot's centre of mass, fitted as a picture, is where its keypoint goes."""
    h, w = h + 120, w + 120
    row, column = int(y * h), int(x * w)
    frame = np.zeros((h, w, 3), np.uint8)
    frame[row - 4 : row + 5, column - 4 : column + 5] = 255
    keypoint = np.array([(column + 0.5) / w, (row + 0.5) / h, 1], np.float32)
    found = fit_frame(frame, 96, 64, fit)[..., 0].astype(np.float64)
    moved = fit_keypoints(keypoint, (h, w), (96, 64), fit)
    assume(0.1 < moved[0] < 0.9 and 0.1 < moved[1] < 0.9)  # `crop` may have cut the spot
    rows, columns = np.indices(found.shape)
    assert abs((columns * found).sum() / found.sum() + 0.5 - moved[0] * 64) < 0.2
    assert abs((rows * found).sum() / found.sum() + 0.5 - moved[1] * 96) < 0.2


def test_squash_leaves_normalised_keypoints_alone() -> None:
    keypoints = np.random.default_rng(0).random((4, 134, 3), np.float32)
    moved = fit_keypoints(keypoints, (720, 1280), (96, 64), "squash")
    np.testing.assert_allclose(moved, keypoints, atol=1e-6)


def test_points_that_crop_cuts_off_are_unseen() -> None:
    keypoints = np.array([[0.05, 0.5, 1], [0.5, 0.5, 1]], np.float32)
    assert fit_keypoints(keypoints, (100, 200), (100, 100), "crop")[:, 2].tolist() == [0, 1]


def test_pad_keeps_the_picture_in_the_middle_of_black() -> None:
    fitted = fit_frame(np.full((10, 20, 3), 255, np.uint8), 20, 20, "pad")
    assert (fitted[5:15] == 255).all()
    assert not fitted[:5].any()
    assert not fitted[15:].any()
