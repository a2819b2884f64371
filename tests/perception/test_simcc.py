from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.perception.dwpose import POINTS_FILE
from dancelcm_cli.perception.keypoints import BODY, FACE, FEET, LEFT_HAND, RIGHT_HAND
from dancelcm_cli.perception.simcc import (
    DEVIATION,
    MEAN,
    PointReader,
    crop_of,
    cut,
    decode,
    with_neck,
)
from tests.perception.tiny_onnx import write_models


def back_to_frame(point: tuple[float, float], box: NDArray[np.float64]) -> NDArray[np.float64]:
    corner, pixels = crop_of(box, 384, 288)
    return corner + np.array(point) * pixels


@pytest.mark.parametrize("box", [[10, 20, 58, 84], [10, 20, 30, 84], [10, 20, 110, 40]])
def test_a_crop_shows_the_box_with_room_in_the_networks_shape(box: list[float]) -> None:
    place = np.array(box, np.float64)
    middle, size = (place[:2] + place[2:]) / 2, place[2:] - place[:2]
    assert back_to_frame((144, 192), place) == pytest.approx(middle)
    shown = back_to_frame((288, 384), place) - back_to_frame((0, 0), place)
    assert shown[0] / shown[1] == pytest.approx(288 / 384)
    assert (shown / size).min() == pytest.approx(1.25)


def test_a_crop_holds_the_frames_pixels_normalised_and_black_beyond_it() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (384, 288, 3), np.uint8)
    same = cut(frame, np.zeros(2), 1.0, 384, 288)
    assert (same * DEVIATION[:, None, None] + MEAN[:, None, None]) == pytest.approx(
        frame.transpose(2, 0, 1), abs=1e-3
    )
    moved = cut(frame, np.array([-8.0, 100.0]), 1.0, 384, 288)
    assert (moved[:, :284, 8:] == same[:, 100:, :280]).all()
    assert moved[:, :, :8] == pytest.approx((-MEAN / DEVIATION)[:, None, None] * np.ones((384, 8)))


def test_places_are_read_off_both_axes_and_the_lower_rating_counts() -> None:
    columns, rows = np.zeros((2, 3, 576), np.float32), np.zeros((2, 3, 768), np.float32)
    columns[1, 2, 101], rows[1, 2, 40] = 0.8, 0.6
    columns[0, 0, 7], rows[0, 0, 9] = 1.4, 2.0  # ratings are no probabilities
    points = decode(columns, rows)
    assert points[1, 2] == pytest.approx([50.5, 20, 0.6])
    assert points[0, 0] == pytest.approx([3.5, 4.5, 1])
    assert (points[0, 1:, 2] == 0).all()


def test_the_133_points_are_put_into_our_order_with_a_neck() -> None:
    coco = np.zeros((1, 133, 3), np.float32)
    coco[0, :, 0] = np.arange(133)
    coco[0, :, 2] = 0.9
    coco[0, 6, 2] = 0.2
    (ours,) = with_neck(coco)
    # nose, neck, right arm, left arm, right leg, left leg, right and left eye, ear: COCO's numbers
    expected = [0, 5.5, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert ours[BODY, 0].tolist() == expected
    assert ours[1, 2] == pytest.approx(0.2)  # the neck is as sure as the less sure shoulder
    assert ours[FEET, 0].tolist() == list(range(17, 23))
    assert ours[FACE, 0].tolist() == list(range(23, 91))
    assert ours[LEFT_HAND, 0].tolist() == list(range(91, 112))
    assert ours[RIGHT_HAND, 0].tolist() == list(range(112, 133))


def test_points_come_back_to_the_frame_whatever_the_batch(tmp_path: Path) -> None:
    reader = PointReader(write_models(tmp_path) / POINTS_FILE, "cpu")
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[80:84, 120:124] = 255
    boxes = np.array([[100.0, 60, 140, 120], [90, 40, 180, 160], [60, 70, 160, 90]] * 12)
    together = reader.read([frame] * len(boxes), boxes)
    alone = np.concatenate([reader.read([frame], box[None]) for box in boxes])
    assert (together == alone).all()
    assert together[..., :2] == pytest.approx(np.full((36, 134, 2), [121.5, 81.5]), abs=2.1)
    assert reader.read([], boxes[:0]).shape == (0, 134, 3)
