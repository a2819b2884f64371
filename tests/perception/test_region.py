import numpy as np
import pytest

from dancelcm_cli.perception.region import Region

UPRIGHT = np.array([0.0, -1.0])


def blob(height: int, width: int, x: float, y: float) -> np.ndarray:
    rows, columns = np.indices((height, width)) + 0.5
    bright = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
    return np.repeat(bright[..., None], 3, axis=-1).astype(np.uint8)


def middle_of_light(picture: np.ndarray) -> np.ndarray:
    light = picture[..., 0].astype(float)
    rows, columns = np.indices(light.shape) + 0.5
    return np.asarray(np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum())


def test_the_whole_of_a_square_frame_is_cut_unchanged() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert (Region.of_frame(frame).cut(frame, 32) == frame).all()


def test_a_wide_frame_is_cut_with_black_bars() -> None:
    picture = Region.of_frame(np.full((20, 40, 3), 255, np.uint8)).cut(
        np.full((20, 40, 3), 255, np.uint8), 40
    )
    assert (picture[10:30] == 255).all()
    assert not picture[:10].any()
    assert not picture[30:].any()


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
def test_what_is_seen_in_a_region_lies_where_it_says(angle: int) -> None:
    frame = blob(120, 160, x=90, y=47)
    up = np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))])
    region = Region(np.array([84.0, 52.0]), 60.0, up)
    found = middle_of_light(region.cut(frame, 96)) / 96
    np.testing.assert_allclose(region.to_frame(found), [90, 47], atol=0.2)


def test_up_is_the_upper_edge() -> None:
    region = Region.about(np.array([50.0, 50.0]), np.array([10.0, 0.0]), room=1.0)
    np.testing.assert_allclose(region.to_frame(np.array([0.5, 0.0])), [60, 50])
    np.testing.assert_allclose(region.to_frame(np.array([1.0, 0.5])), [50, 60])
    np.testing.assert_allclose(region.moved(0.5).centre, [60, 50])


@pytest.mark.parametrize("up", [UPRIGHT, np.array([0.6, 0.8])])
def test_a_region_around_points_holds_them_tightly(up: np.ndarray) -> None:
    points = np.random.default_rng(0).uniform(0, 100, (20, 2))
    region = Region.around(points, up, room=1.0)
    right = np.array([-up[1], up[0]])
    places = np.stack([(points - region.centre) @ right, (points - region.centre) @ up], axis=-1)
    assert abs(places).max() == pytest.approx(region.size / 2)


def test_a_region_of_no_size_can_be_cut() -> None:
    frame = np.full((8, 8, 3), 7, np.uint8)
    point = np.array([4.0, 4.0])
    for region in (Region.about(point, np.zeros(2), 2.0), Region.around(point[None], UPRIGHT, 2.0)):
        assert region.cut(frame, 4).shape == (4, 4, 3)
