from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Alignment
from dancelcm_cli.perception.keypoints import BODY
from dancelcm_cli.perception.retarget import HIPS, PARENTS, align_keypoints

Keypoints = NDArray[np.float32]
Hide = Callable[..., Keypoints]
Golden = dict[str, NDArray[Any]]
NECK = 1
every_mode = pytest.mark.parametrize("mode", get_args(Alignment))
changing_mode = pytest.mark.parametrize("mode", ["robust", "first-frame"])


def figure(keypoints: Keypoints, scale: float, shift: tuple[float, float]) -> Keypoints:
    copy = keypoints.copy()
    copy[..., :2] = copy[..., :2] * scale + np.asarray(shift, np.float32)
    return copy


def lengths(pose: Keypoints) -> dict[int, float]:
    return {
        child: float(np.linalg.norm(pose[child, :2] - pose[parent, :2]))
        for child, parent in PARENTS.items()
    }


def test_first_frame_alignment_is_unianimates(golden: Golden) -> None:
    aligned = align_keypoints(golden["drive"], golden["ref"][0], "first-frame")
    np.testing.assert_allclose(aligned, golden["aligned"], atol=1e-6)


def test_a_figure_that_starts_as_the_reference_stays_as_it_is(golden: Golden) -> None:
    aligned = align_keypoints(golden["drive"], golden["drive"][0], "first-frame")
    np.testing.assert_allclose(aligned, golden["drive"], atol=1e-6)


@every_mode
def test_a_figure_that_keeps_the_references_pose_stays_as_it_is(
    dancer: Keypoints, mode: Alignment
) -> None:
    still = np.repeat(dancer[:1], 5, axis=0)
    np.testing.assert_allclose(align_keypoints(still, dancer[0], mode), still, atol=1e-6)


@changing_mode
def test_size_and_place_of_the_driving_figure_do_not_matter(
    golden: Golden, mode: Alignment
) -> None:
    moved = figure(golden["drive"], 0.4, (0.3, -0.1))
    expected = align_keypoints(golden["drive"], golden["ref"][0], mode)
    np.testing.assert_allclose(align_keypoints(moved, golden["ref"][0], mode), expected, atol=1e-5)


@changing_mode
def test_the_result_follows_the_reference(golden: Golden, mode: Alignment) -> None:
    expected = figure(align_keypoints(golden["drive"], golden["ref"][0], mode), 0.5, (0.2, 0.1))
    reference = figure(golden["ref"][0], 0.5, (0.2, 0.1))
    np.testing.assert_allclose(
        align_keypoints(golden["drive"], reference, mode), expected, atol=1e-5
    )


def test_the_first_frame_gets_the_references_bones(golden: Golden) -> None:
    aligned = align_keypoints(golden["drive"], golden["ref"][0], "first-frame")
    ours, theirs = lengths(aligned[0]), lengths(golden["ref"][0])
    bones = set(PARENTS) - set(HIPS)
    assert all(ours[bone] == pytest.approx(theirs[bone], rel=1e-4) for bone in bones)
    np.testing.assert_allclose(aligned[0, NECK], golden["ref"][0][NECK], atol=1e-6)


def test_one_bad_frame_does_not_change_a_robust_alignment(dancer: Keypoints) -> None:
    clip = np.repeat(dancer[:1], 5, axis=0)
    clip[0, BODY, :2] += np.random.default_rng(0).normal(0, 0.2, (18, 2))
    aligned = align_keypoints(clip, dancer[0], "robust")
    np.testing.assert_allclose(aligned[1:], clip[1:], atol=1e-6)


def test_a_limb_that_points_at_the_camera_does_not_shrink_its_pair(dancer: Keypoints) -> None:
    reference = dancer[0].copy()
    wrist = min((4, 7), key=lengths(reference).__getitem__)
    reference[wrist, :2] = 0.2 * reference[wrist, :2] + 0.8 * reference[PARENTS[wrist], :2]
    still = np.repeat(dancer[:1], 3, axis=0)
    np.testing.assert_allclose(align_keypoints(still, reference), still, atol=1e-6)


def test_robust_alignment_looks_at_square_pixels(dancer: Keypoints) -> None:
    portrait, landscape = 2 / 3, 16 / 9
    widened = dancer.copy()
    widened[..., 0] *= portrait / landscape
    aligned = align_keypoints(
        widened, dancer[0], driving_aspect=landscape, reference_aspect=portrait
    )
    expected = align_keypoints(
        dancer, dancer[0], driving_aspect=portrait, reference_aspect=portrait
    )
    np.testing.assert_allclose(aligned, expected, atol=1e-5)


@changing_mode
@pytest.mark.parametrize("nonsense", [-1.0, 0.5, 1e6])
def test_unseen_points_do_not_matter_to_the_others(
    dancer: Keypoints, golden: Golden, hide: Hide, mode: Alignment, nonsense: float
) -> None:
    points = [2, 4, 9, 18]
    seen = np.setdiff1d(np.arange(134), points)
    aligned = align_keypoints(hide(dancer, points, nonsense), golden["ref"][0], mode)
    expected = align_keypoints(hide(dancer, points, 0.0), golden["ref"][0], mode)
    np.testing.assert_allclose(aligned[:, seen], expected[:, seen], atol=1e-5)


@every_mode
@pytest.mark.parametrize("missing", [[NECK], [2, 5], [8, 11], list(range(1, 18)), list(range(134))])
def test_whatever_is_missing_the_result_is_finite(
    dancer: Keypoints, golden: Golden, hide: Hide, mode: Alignment, missing: list[int]
) -> None:
    lacking, whole = hide(dancer, missing, -1.0), golden["ref"][0]
    assert np.isfinite(align_keypoints(lacking, whole, mode)).all()
    assert np.isfinite(align_keypoints(dancer, hide(whole, missing, -1.0), mode)).all()
    assert np.isfinite(align_keypoints(lacking, hide(whole, missing, -1.0), mode)).all()


@every_mode
def test_a_figure_shrunk_to_a_point_gives_finite_keypoints(
    dancer: Keypoints, golden: Golden, mode: Alignment
) -> None:
    point = figure(dancer, 0.0, (0.5, 0.5))
    assert np.isfinite(align_keypoints(point, golden["ref"][0], mode)).all()
    assert np.isfinite(align_keypoints(dancer, point[0], mode)).all()


@every_mode
def test_scores_are_passed_on_and_inputs_left_alone(
    dancer: Keypoints, golden: Golden, mode: Alignment
) -> None:
    driving, reference = dancer.copy(), golden["ref"][0].copy()
    aligned = align_keypoints(driving, reference, mode, driving_aspect=2.0, reference_aspect=0.5)
    aligned[..., :2] = 0
    assert (aligned[..., 2] == dancer[..., 2]).all()
    assert (driving == dancer).all()
    assert (reference == golden["ref"][0]).all()
