"""A body from a few sliders: MakeHuman's phenotype, and small deformations of the face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.geometry import Floats
from dancelcm_cli.danceset.makehuman import add_targets, load_base, opposite_targets

# Where each step of a slider lies on it. MakeHuman has targets for these alone.
GENDER = {"male": 0.0, "female": 1.0}
AGE = {"child": 1 / 3, "young": 2 / 3, "old": 1.0}
MUSCLE = {"minmuscle": 0.0, "averagemuscle": 0.5, "maxmuscle": 1.0}
WEIGHT = {"minweight": 0.0, "averageweight": 0.5, "maxweight": 1.0}
HEIGHT = {"minheight": 0.0, "maxheight": 1.0}
PROPORTIONS = {"idealproportions": 0.0, "uncommonproportions": 1.0}
CUP = {"mincup": 0.0, "averagecup": 0.5, "maxcup": 1.0}
FIRMNESS = {"minfirmness": 0.0, "averagefirmness": 0.5, "maxfirmness": 1.0}
RACES = ("african", "asian", "caucasian")

FACE_REGIONS = (
    *("head", "nose", "mouth", "eyes", "chin"),
    *("cheek", "forehead", "ears", "eyebrows", "neck"),
)
Mix = Mapping[str, float]


@dataclass(frozen=True)
class Phenotype:
    """MakeHuman's sliders, each from 0 to 1."""

    gender: float  # 0 is male
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    cup: float
    firmness: float
    races: Mix  # shares of `RACES` that sum to 1


def draw_phenotype(rng: Generator) -> Phenotype:
    """Return an adult, as likely male as female, of any mixture of races."""
    gender = float(rng.random() < 0.5)
    return Phenotype(
        gender=float(np.clip(gender + rng.normal(0, 0.12), 0, 1)),
        age=rng.uniform(0.62, 0.92),
        muscle=rng.uniform(0.3, 0.85),
        weight=float(np.clip(rng.normal(0.5, 0.2), 0.1, 0.95)),
        height=rng.uniform(0.2, 0.85),
        proportions=rng.uniform(0, 0.6),
        cup=rng.uniform(0.2, 0.8),
        firmness=rng.uniform(0.4, 0.8),
        races=dict(zip(RACES, rng.dirichlet([0.35] * 3).tolist(), strict=True)),
    )


def draw_features(rng: Generator) -> dict[str, float]:
    """Return targets that make a face its own, and their weights."""
    weights: dict[str, float] = {}
    for region in FACE_REGIONS:
        for low, high in opposite_targets(region):
            if rng.random() < 0.45:
                amount = float(np.clip(rng.normal(0, 0.35), -0.8, 0.8))
                weights |= dict.fromkeys(high if amount > 0 else low, abs(amount))
    return weights


def shape_body(phenotype: Phenotype, features: Mapping[str, float]) -> Floats:
    """Return the rest shape (V, 3) of a body: the base mesh, deformed."""
    return add_targets(load_base().vertices, {**macro_targets(phenotype), **features})


def macro_targets(phenotype: Phenotype) -> dict[str, float]:
    """Return the targets whose weighted sum is `phenotype`, and their weights.

    MakeHuman names a target after the steps of the sliders it stands for (`targets/macrodetails`);
    its weight is the product of how near each slider is to that step.
    """
    gender, age = _near(GENDER, phenotype.gender), _near(AGE, phenotype.age)
    muscle, weight = _near(MUSCLE, phenotype.muscle), _near(WEIGHT, phenotype.weight)
    height = _near(HEIGHT, phenotype.height)
    proportions = _near(PROPORTIONS, phenotype.proportions)
    cup, firmness = _near(CUP, phenotype.cup), _near(FIRMNESS, phenotype.firmness)
    female = {"female": gender.get("female", 0.0)}
    macro = "macrodetails"
    return {
        **dict(_named(f"{macro}/universal-", gender, age, muscle, weight)),
        **dict(_named(f"{macro}/", phenotype.races, gender, age)),
        **dict(_named(f"{macro}/height/", gender, age, muscle, weight, height)),
        **dict(_named(f"{macro}/proportions/", gender, age, muscle, weight, proportions)),
        **dict(_named("breast/", female, age, muscle, weight, cup, firmness)),
    }


def _near(steps: Mix, value: float) -> dict[str, float]:
    """Return the one or two steps next to `value`, and how near it is to each: they sum to 1."""
    names, places = list(steps), np.array(list(steps.values()))
    shares = np.clip(1 - np.abs(value - places) / (places[1] - places[0]), 0, 1)
    return {name: float(share) for name, share in zip(names, shares, strict=True) if share > 0}


def _named(prefix: str, *sliders: Mix) -> Iterator[tuple[str, float]]:
    for steps in product(*(slider.items() for slider in sliders)):
        yield prefix + "-".join(name for name, _ in steps), float(np.prod([w for _, w in steps]))
