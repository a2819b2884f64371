from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.data.video import read_frames, write_video
from dancelcm_cli.perception.drawing import draw_pose, draw_poses, is_pose_video
from dancelcm_cli.perception.keypoints import FACE, LEFT_HAND

Keypoints = NDArray[np.float32]
Hide = Callable[..., Keypoints]
Golden = dict[str, NDArray[Any]]
LEFT_ANKLE, LEFT_TOES, LEFT_SMALL_TOE = 13, slice(18, 20), 19


def test_pictures_are_unianimates_to_the_pixel(golden: Golden) -> None:
    assert (draw_pose(golden["ref"][0], 768, 512) == golden["ref_canvas"][0]).all()
    assert (draw_poses(golden["aligned"], 768, 512) == golden["canvas"]).all()


@pytest.mark.parametrize("nonsense", [-1.0, 0.5, 1e30, np.nan, np.inf])
def test_coordinates_of_unseen_points_do_not_matter(
    dancer: Keypoints, hide: Hide, nonsense: float
) -> None:
    points = [0, 4, 9, 19, *range(100, 110)]
    expected = draw_pose(hide(dancer[0], points, 0.0), 192, 128)
    assert (draw_pose(hide(dancer[0], points, nonsense), 192, 128) == expected).all()
    assert (expected != draw_pose(dancer[0], 192, 128)).any()


def test_a_point_counts_as_seen_only_above_the_threshold(dancer: Keypoints) -> None:
    dancer = dancer.copy()
    dancer[..., 2] = 0.3
    assert not draw_pose(dancer[0], 192, 128).any()
    assert draw_pose(dancer[0], 192, 128, threshold=0.29).any()


def test_a_foot_is_drawn_when_both_toes_are_seen(dancer: Keypoints, hide: Hide) -> None:
    no_foot = draw_pose(hide(dancer[0], LEFT_TOES), 768, 512)
    assert (draw_pose(hide(dancer[0], LEFT_SMALL_TOE), 768, 512) == no_foot).all()
    changed = np.argwhere((draw_pose(dancer[0], 768, 512) != no_foot).any(axis=-1))
    ankle = dancer[0, LEFT_ANKLE, 1::-1] * (768, 512)
    assert 0 < np.linalg.norm(changed - ankle, axis=-1).max() < 80


def test_face_points_are_not_drawn(dancer: Keypoints, hide: Hide) -> None:
    without = draw_pose(hide(dancer[0], FACE), 192, 128)
    assert (draw_pose(dancer[0], 192, 128) == without).all()
    assert (draw_pose(hide(dancer[0], LEFT_HAND), 192, 128) != without).any()


@pytest.mark.parametrize("shape", [(192, 128), (384, 256), (1536, 1024)])
def test_a_pose_looks_the_same_at_every_size(dancer: Keypoints, shape: tuple[int, int]) -> None:
    picture = draw_pose(dancer[0], *shape)
    assert picture.shape == (*shape, 3)
    small, full = (
        cv2.resize(image, (64, 96), interpolation=cv2.INTER_AREA).astype(int)
        for image in (picture, draw_pose(dancer[0], 768, 512))
    )
    assert abs(small - full).max() <= 4


def test_points_far_outside_are_drawn_without_harm(dancer: Keypoints) -> None:
    dancer = dancer.copy()
    dancer[0, 4, :2] = 1e30, -1e30
    assert draw_pose(dancer[0], 96, 160).any()


def test_a_clip_is_drawn_frame_by_frame(dancer: Keypoints) -> None:
    pictures = draw_poses(dancer, 96, 64)
    assert all(
        (picture == draw_pose(pose, 96, 64)).all()
        for picture, pose in zip(pictures, dancer, strict=True)
    )


@pytest.mark.parametrize("shape", [(192, 128), (768, 512), (360, 640)])
def test_drawn_poses_are_known_from_a_video_of_them(
    dancer: Keypoints, tmp_path: Path, shape: tuple[int, int]
) -> None:
    write_video(tmp_path / "poses.mp4", draw_poses(dancer, *shape), fps=12)
    frames, _ = read_frames(tmp_path / "poses.mp4")
    assert is_pose_video(frames)


def test_people_and_plain_pictures_are_no_poses(dancer_frames: NDArray[np.uint8]) -> None:
    assert not is_pose_video(dancer_frames)
    assert not is_pose_video(dancer_frames // 8)
    assert not is_pose_video(np.zeros_like(dancer_frames))
    assert not is_pose_video(np.full_like(dancer_frames, 255))
