import numpy as np
import pytest

from dancelcm_cli.config.schema import Person
from dancelcm_cli.perception.people import Sighting, choose_person, choose_track, likeness, link


def sighting(x: float, height: float = 100, pose: float | None = None) -> Sighting:
    """Somebody at column `x`, `height` pixels tall; with points about column `pose`, if any."""
    points = np.zeros((134, 3), np.float32)
    if pose is not None:
        points[:18] = [pose, 50, 1]
    return Sighting(np.array([x - height / 4, 100 - height, x + height / 4, 100]), points)


def test_two_people_are_two_tracks_in_whatever_order_they_come() -> None:
    both, swapped = [sighting(50), sighting(200)], [sighting(195), sighting(55)]
    left, right = link([(0, both), (5, swapped), (9, [sighting(60)])])
    assert (left.frames, right.frames) == ([0, 5, 9], [0, 5])
    assert left.boxes[:, 0].tolist() == [25, 30, 35]


def test_where_boxes_meet_the_poses_tell_who_is_who() -> None:
    before = [sighting(100, pose=90), sighting(104, pose=120)]
    after = [sighting(103, pose=92), sighting(101, pose=118)]
    one, other = link([(0, before), (1, after)])
    assert one.sightings[1] is after[0]
    assert other.sightings[1] is after[1]


def test_likeness_is_one_of_the_same_and_falls_with_distance() -> None:
    here = sighting(50, pose=50)
    assert likeness(here, here) == 1
    values = [likeness(here, sighting(50 + away, pose=50 + away)) for away in (0, 10, 20, 30)]
    assert values == sorted(values, reverse=True)
    assert likeness(here, sighting(500, pose=500)) < 0.01


@pytest.mark.parametrize(("gap", "people"), [(1, 1), (2, 1), (3, 2)])
def test_who_is_missing_for_long_is_somebody_else(gap: int, people: int) -> None:
    looks = [[sighting(50)], *[[]] * gap, [sighting(50)]]
    assert len(link(list(enumerate(looks)))) == people


def test_a_box_moves_steadily_between_two_looks() -> None:
    (track,) = link([(2, [sighting(50)]), (6, [sighting(70)])])
    frames, boxes = track.boxes_between()
    assert frames == [2, 3, 4, 5, 6]
    assert boxes[:, 0].tolist() == [25, 30, 35, 40, 45]
    assert (boxes[:, 3] == 100).all()


@pytest.mark.parametrize(
    ("person", "expected"), [("largest", 2), ("center", 0), (1, 1), (2, 0), (3, 2), (4, None)]
)
def test_a_person_is_named_by_size_place_or_number(person: Person, expected: int | None) -> None:
    sizes, places = np.array([2.0, 1, 3]), np.array([[0.4, 0.5], [0.1, 0.5], [0.9, 0.5]])
    assert choose_person(person, sizes, places) == expected


def test_nobody_can_be_named_where_there_is_nobody() -> None:
    assert choose_person("largest", np.zeros(0), np.zeros((0, 2))) is None
    assert choose_track([], 1, 10, 10) is None


def standing(x: float, height: float) -> Sighting:
    """Somebody at column `x` whose points reach over the whole box."""
    seen = sighting(x, height)
    left, top, right, bottom = seen.box
    seen.pose[:18, 0] = np.linspace(left, right, 18)
    seen.pose[:18, 1] = np.linspace(top, bottom, 18)
    seen.pose[:18, 2] = 1
    return seen


def test_who_was_followed_before_is_followed_on_though_another_is_larger() -> None:
    small, tall = link([(n, [standing(50, 80), standing(200, 100)]) for n in range(3)])
    for place, expected in ((50, small), (54, small), (200, tall), (290, tall)):
        before = standing(place, 80).pose / np.array([300, 100, 1], np.float32)
        assert choose_track([small, tall], "largest", 100, 300, before) is expected
    assert choose_track([small, tall], "largest", 100, 300) is tall


def test_one_person_alone_is_followed_as_ever() -> None:
    brief, long = [standing(50, 100)], [standing(200, 100)]
    tracks = link([(0, brief), (1, []), (2, []), (3, []), (4, long), (5, long)])
    assert len(tracks) == 2
    before = brief[0].pose / np.array([300, 100, 1], np.float32)
    assert choose_track(tracks, "largest", 100, 300, before) is tracks[1]


def test_who_stays_is_larger_than_who_passes_by() -> None:
    small, tall = sighting(50, 80), sighting(200, 100)
    stays, passes = link([(0, [small, tall]), (1, [small]), (2, [small])])
    assert choose_track([stays, passes], "largest", 100, 300) is stays
    assert choose_track([stays, passes], 2, 100, 300) is passes
