from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dancelcm_cli.danceset.body import shape_body
from dancelcm_cli.danceset.clothes import make_clothes
from dancelcm_cli.danceset.expression import moved_vertices
from dancelcm_cli.danceset.figure import Figure, make_figure
from dancelcm_cli.danceset.hair import make_hair
from dancelcm_cli.danceset.makehuman import NUM_BODY_VERTICES, mesh_normals
from dancelcm_cli.danceset.parts import Material, body_chart
from dancelcm_cli.danceset.person import Hairdo, Person, draw_person
from dancelcm_cli.danceset.skeleton import FEET, load_skeleton, skinning
from dancelcm_cli.danceset.skull import find_hairline, measure_skull


@pytest.fixture(scope="module")
def person() -> Person:
    return draw_person(np.random.default_rng(4))


@pytest.fixture(scope="module")
def vertices(person: Person) -> np.ndarray:
    return np.asarray(shape_body(person.phenotype, person.features))


@pytest.fixture(scope="module")
def joints(vertices: np.ndarray) -> np.ndarray:
    return np.asarray(load_skeleton().joints(vertices))


@pytest.fixture(scope="module")
def figure(person: Person, vertices: np.ndarray, joints: np.ndarray) -> Figure:
    return make_figure(person, vertices, joints)


def test_every_point_follows_bones_and_belongs_to_a_triangle(figure: Figure) -> None:
    for part in figure.parts:
        assert np.allclose(part.weights.sum(axis=1), 1, atol=1e-5)
        assert np.array_equal(np.unique(part.triangles), np.arange(len(part.points)))
        assert np.isfinite(part.points).all() and np.isfinite(part.chart).all()
        assert len(part.points) == len(part.normals) == len(part.uvs) == len(part.chart)


def test_a_still_figure_is_as_it_was_made(figure: Figure, joints: np.ndarray) -> None:
    bones = skinning(joints, np.tile(np.eye(3), (len(joints), 1, 1)), joints)
    points, _ = figure.at(bones, np.zeros((len(moved_vertices()), 3), np.float32))
    assert np.allclose(points, figure.points, atol=1e-4)


def test_an_expression_moves_skin_and_eyelashes_alike(figure: Figure, joints: np.ndarray) -> None:
    bones = skinning(joints, np.tile(np.eye(3), (len(joints), 1, 1)), joints)
    lift = np.tile(np.array([0, 0.5, 0], np.float32), (len(moved_vertices()), 1))
    moved = np.linalg.norm(figure.at(bones, lift)[0] - figure.points, axis=1)
    start = 0
    for part in figure.parts:
        share = (moved[start : start + len(part.points)] > 0.1).mean()
        start += len(part.points)
        if part.material in (Material.SKIN, Material.LASH):
            assert share > 0.1
        elif part.material in (Material.CLOTH, Material.SHOE, Material.HAIR):
            assert share == 0


@pytest.mark.parametrize("hairdo", Hairdo)
def test_hair_covers_the_skull(
    hairdo: Hairdo, person: Person, vertices: np.ndarray, joints: np.ndarray
) -> None:
    hair = replace(person.hair, hairdo=hairdo, fringe=0.0)
    parts = make_hair(hair, vertices, mesh_normals(vertices), joints, clearance=0.2)
    if hairdo is Hairdo.BALD:
        assert not parts
        return
    skull = measure_skull(vertices, joints, find_hairline(hair, joints))
    rays = parts[0].points - skull.centre
    lengths = np.linalg.norm(rays, axis=1)
    assert (lengths > skull.radius(rays / lengths[:, None])).all()
    assert np.ptp(parts[0].points[:, 0]) > 1.2  # it is as wide as a head


def test_long_hair_falls_outside_the_body(
    person: Person, vertices: np.ndarray, joints: np.ndarray
) -> None:
    normals = mesh_normals(vertices)
    hair = replace(person.hair, hairdo=Hairdo.LONG, length=1.0)
    points = make_hair(hair, vertices, normals, joints, clearance=0.2)[0].points
    back = points[points[:, 1] < joints[load_skeleton().index("neck01"), 1]]
    body = vertices[:NUM_BODY_VERTICES]
    nearest = ((back[:, None] - body) ** 2).sum(axis=-1).argmin(axis=1)
    depth = ((back - body[nearest]) * normals[nearest]).sum(axis=-1)
    assert len(back) > 50
    assert (depth > 0).mean() > 0.95


def test_shoes_stand_flat_on_their_soles_and_hold_the_feet(
    person: Person, vertices: np.ndarray, joints: np.ndarray
) -> None:
    chart = body_chart(vertices, joints)
    shoes = next(
        part
        for part in make_clothes(person.outfit, vertices, chart)
        if part.material is Material.SHOE
    )
    foot = vertices[:NUM_BODY_VERTICES][load_skeleton().share(FEET)[:NUM_BODY_VERTICES] > 0.5]
    floor = foot[:, 1].min() - person.outfit.shoes.sole_thickness
    assert shoes.points[:, 1].min() == pytest.approx(floor, abs=1e-4)
    assert (np.abs(shoes.points[:, 1] - floor) < 1e-4).sum() > 30
    for axis in (0, 2):
        assert shoes.points[:, axis].min() < foot[:, axis].min()
        assert shoes.points[:, axis].max() > foot[:, axis].max()


def test_loose_clothes_stand_off_the_body(
    person: Person, vertices: np.ndarray, joints: np.ndarray
) -> None:
    chart = body_chart(vertices, joints)

    def size(looseness: float) -> float:
        cloth = make_clothes(replace(person.outfit, looseness=looseness), vertices, chart)[0]
        chest = np.abs(cloth.chart[:, 2] - 0.8) < 0.05
        return float(np.ptp(cloth.points[chest, 2]))

    assert size(0.3) == pytest.approx(size(0.1) + 0.4, abs=0.1)
