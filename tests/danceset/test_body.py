from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dancelcm_cli.danceset.body import (
    Phenotype,
    draw_features,
    draw_phenotype,
    macro_targets,
    shape_body,
)
from dancelcm_cli.danceset.makehuman import NUM_BODY_VERTICES, load_base, read_target
from dancelcm_cli.danceset.skeleton import ARMS, FEET, HEAD, load_skeleton, skin, skinning

AVERAGE = Phenotype(
    gender=0,
    age=2 / 3,
    muscle=0.5,
    weight=0.5,
    height=0.5,
    proportions=0.5,
    cup=0.5,
    firmness=0.5,
    races={"african": 0, "asian": 0, "caucasian": 1},
)


def height_of(phenotype: Phenotype) -> float:
    return float(np.ptp(shape_body(phenotype, {})[:NUM_BODY_VERTICES, 1]))


def waist_of(phenotype: Phenotype) -> float:
    base = load_base().vertices
    waist = (np.abs(base[:, 1] - 2) < 0.3) & (load_skeleton().share(ARMS) < 0.1)
    return float(np.ptp(shape_body(phenotype, {})[waist, 0]))


def test_the_weights_of_each_kind_of_target_sum_to_one() -> None:
    weights = macro_targets(draw_phenotype(np.random.default_rng(0)))
    for kind in ("universal", "height", "proportions"):
        shares = [share for name, share in weights.items() if f"macrodetails/{kind}" in name]
        assert sum(shares) == pytest.approx(1)


def test_a_slider_on_a_step_uses_that_step_alone() -> None:
    universal = [name for name in macro_targets(AVERAGE) if "universal" in name]
    assert universal == ["macrodetails/universal-male-young-averagemuscle-averageweight"]


def test_sliders_do_what_they_say() -> None:
    assert height_of(replace(AVERAGE, height=0.9)) > height_of(replace(AVERAGE, height=0.1)) + 1
    assert waist_of(replace(AVERAGE, weight=0.9)) > waist_of(replace(AVERAGE, weight=0.1)) + 0.3


def test_every_target_that_a_face_may_draw_exists() -> None:
    names = {name for seed in range(5) for name in draw_features(np.random.default_rng(seed))}
    assert len(names) > 100
    assert all(read_target(name) for name in names)


def test_two_seeds_make_two_people() -> None:
    first, second = (
        shape_body(draw_phenotype(rng), draw_features(rng))
        for rng in map(np.random.default_rng, (1, 2))
    )
    assert np.abs(first - second).max() > 0.2


def test_parents_come_before_their_children() -> None:
    skeleton = load_skeleton()
    assert skeleton.parents.count(-1) == 1
    assert all(parent < bone for bone, parent in enumerate(skeleton.parents))


def test_bones_at_rest_move_nothing() -> None:
    vertices = load_base().vertices
    joints = load_skeleton().joints(vertices)
    still = skinning(joints, np.tile(np.eye(3), (len(joints), 1, 1)), joints)
    moved, turns = skin(vertices, load_skeleton().weights, still)
    assert np.allclose(moved, vertices, atol=1e-4)
    assert np.allclose(turns, np.eye(3), atol=1e-5)


def test_shares_tell_limbs_apart() -> None:
    base = load_base().vertices[:NUM_BODY_VERTICES]
    head, feet, arms = (
        load_skeleton().share(roots)[:NUM_BODY_VERTICES] > 0.9 for roots in (HEAD, FEET, ARMS)
    )
    assert base[head, 1].min() > 5.5 > 0 > base[feet, 1].max()
    assert not (head & feet).any() and not (head & arms).any()
    assert np.abs(base[arms, 0]).min() > 1
