import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.frechet import frechet_distance
from dancelcm_cli.evaluate.self_check import cross

VARIANCES = st.lists(st.floats(0, 100), min_size=3, max_size=3)


def sample(seed: int, count: int, axes: int = 6) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, axes)) @ random.normal(size=(axes, axes)) + random.normal()


def by_eigenvalues(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The definition: the trace of the root of the covariances' product, by its eigenvalues."""
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    root = np.sqrt(np.maximum(eigenvalues.real, 0)).sum()
    means = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
    return float(means + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root)


@given(first=VARIANCES, second=VARIANCES, shift=st.floats(-5, 5))
def test_gaussians_along_the_axes_have_the_closed_form(
    first: list[float], second: list[float], shift: float
) -> None:
    roots = np.sqrt(first) - np.sqrt(second)
    expected = np.square(roots).sum() + 3 * shift**2
    found = frechet_distance(cross(first), cross(second, shift))
    assert found == pytest.approx(expected, abs=1e-9)


def test_equal_covariances_leave_the_squared_distance_of_the_means() -> None:
    features = sample(0, 50)
    assert frechet_distance(features, features + 2.0) == pytest.approx(6 * 4.0)


def test_single_samples_are_points() -> None:
    first, second = np.array([[1.0, 2.0]]), np.array([[4.0, 6.0]])
    assert frechet_distance(first, second) == 25.0


@pytest.mark.parametrize("counts", [(4, 5), (5, 40), (60, 40)])
def test_it_is_the_definition_for_more_and_for_fewer_samples_than_axes(
    counts: tuple[int, int],
) -> None:
    first, second = sample(1, counts[0]), sample(2, counts[1])
    assert frechet_distance(first, second) == pytest.approx(by_eigenvalues(first, second), rel=1e-6)


def test_it_is_symmetric_and_blind_to_order_and_rotation() -> None:
    first, second = sample(3, 30), sample(4, 20)
    rotation = np.linalg.qr(sample(5, 6))[0]
    distance = frechet_distance(first, second)
    assert frechet_distance(second, first) == pytest.approx(distance)
    assert frechet_distance(first[::-1], second) == pytest.approx(distance)
    assert frechet_distance(first @ rotation, second @ rotation) == pytest.approx(distance)


@pytest.mark.parametrize("count", [3, 400, 1000])
def test_a_set_is_at_no_distance_from_itself(count: int) -> None:
    features = (10 * sample(6, count, axes=400)).astype(np.float32)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(value: float) -> None:
    features = sample(7, 10)
    features[3, 2] = value
    with pytest.raises(InputError, match="finite"):
        frechet_distance(sample(8, 10), features)
