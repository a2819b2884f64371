from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.danceset.geometry import (
    X,
    Y,
    Z,
    between,
    smoothstep,
    turn,
    turn_onto,
    unit,
    vertex_normals,
)

angles = st.floats(-3, 3)
vectors = st.tuples(*[st.floats(-1, 1)] * 3).map(np.array).filter(lambda v: np.linalg.norm(v) > 0.1)


def test_turns_are_right_handed() -> None:
    quarter = np.pi / 2
    assert np.allclose(turn(Z, quarter) @ X, Y)
    assert np.allclose(turn(X, quarter) @ Y, Z)
    assert np.allclose(turn(Y, quarter) @ Z, X)


@given(vectors, angles, angles)
def test_turns_about_one_axis_add_up(axis: np.ndarray, first: float, second: float) -> None:
    assert np.allclose(turn(axis, first) @ turn(axis, second), turn(axis, first + second))
    assert np.allclose(turn(axis, first) @ axis, axis)


@given(vectors, vectors)
def test_turn_onto_takes_one_direction_to_the_other(start: np.ndarray, end: np.ndarray) -> None:
    assert np.allclose(turn_onto(start, end) @ unit(start), unit(end), atol=1e-6)


@given(vectors, angles, st.floats(0, 1))
def test_between_goes_from_one_rotation_to_the_other(
    axis: np.ndarray, angle: float, share: float
) -> None:
    start, end = turn(axis, 0.0), turn(axis, angle / 2)
    middle = between(start, end, share)
    assert np.allclose(middle @ middle.T, np.eye(3))
    assert np.allclose(between(start, end, 0), start)
    assert np.allclose(between(start, end, 1), end)


def test_smoothstep_may_fall() -> None:
    values = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
    assert np.allclose(smoothstep(1, 2, values), [0, 0, 0.5, 1, 1])
    assert np.allclose(smoothstep(2, 1, values), [1, 1, 0.5, 0, 0])


def test_normals_of_a_tetrahedron_point_outwards() -> None:
    points = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1], [5, 5, 5]], float)
    triangles = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    normals = vertex_normals(points, triangles)
    assert np.allclose(normals[:4], unit(points[:4]))
    assert normals[4] == pytest.approx(0)  # a point of no triangle
