import numpy as np
import pytest

from dancelcm_cli.perception.boxes import areas, distinct, overlaps

UNIT = np.array([[0.0, 0, 2, 2]])


@pytest.mark.parametrize(
    ("other", "expected"),
    [([0, 0, 2, 2], 1), ([1, 0, 3, 2], 1 / 3), ([2, 2, 3, 3], 0), ([0.5, 0.5, 1.5, 1.5], 1 / 4)],
)
def test_the_overlap_is_the_intersection_over_the_union(
    other: list[float], expected: float
) -> None:
    assert overlaps(UNIT, np.array([other]))[0, 0] == pytest.approx(expected)
    assert overlaps(np.array([other]), UNIT)[0, 0] == pytest.approx(expected)


def test_a_box_without_room_has_no_area_and_overlaps_nothing() -> None:
    inverted = np.array([[3.0, 3, 1, 1]])
    assert areas(inverted)[0] == 0
    assert overlaps(inverted, UNIT)[0, 0] == overlaps(inverted, inverted)[0, 0] == 0


def test_of_two_that_overlap_the_better_one_stays() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [2, 0, 12, 10]])
    assert distinct(boxes, np.array([0.5, 0.9, 0.4, 0.6]), 0.45) == [1, 2]
    assert distinct(boxes, np.array([0.5, 0.9, 0.4, 0.6]), 1.0) == [1, 3, 0, 2]
    assert distinct(boxes[:0], np.zeros(0), 0.45) == []
