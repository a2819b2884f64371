"""A dancer: body, colouring, hair and clothes, drawn at random but so that they go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.body import Phenotype, draw_features, draw_phenotype
from dancelcm_cli.danceset.geometry import Floats
from dancelcm_cli.danceset.outfit import Colour, Outfit, draw_outfit

# From the lightest to the darkest.
SKINS = (
    (0.98, 0.83, 0.73),
    (0.94, 0.76, 0.64),
    (0.87, 0.68, 0.54),
    (0.78, 0.58, 0.44),
    (0.62, 0.43, 0.31),
    (0.48, 0.32, 0.23),
    (0.36, 0.24, 0.18),
)
DARK_HAIRS = ((0.08, 0.06, 0.05), (0.14, 0.09, 0.06), (0.28, 0.17, 0.10))
LIGHT_HAIRS = (
    (0.45, 0.28, 0.14),
    (0.62, 0.44, 0.22),
    (0.80, 0.66, 0.40),
    (0.55, 0.22, 0.10),
    (0.62, 0.60, 0.58),
)
BROWN_EYES = (0.25, 0.14, 0.07)
EYES = (
    BROWN_EYES,
    (0.35, 0.22, 0.10),
    (0.25, 0.40, 0.22),
    (0.28, 0.45, 0.62),
    (0.42, 0.44, 0.46),
)
FIRST_DARK_SKIN = 3  # from here on all eyes are brown


class Hairdo(Enum):
    """How hair is worn; `hair.py` knows their shapes."""

    BALD = "bald"
    CROPPED = "cropped"
    SHORT = "short"
    AFRO = "afro"
    BOB = "bob"
    LONG = "long"
    PONYTAIL = "ponytail"
    BUN = "bun"


FEMININE_HAIRDOS = (
    *(Hairdo.LONG, Hairdo.LONG, Hairdo.BOB, Hairdo.PONYTAIL),
    *(Hairdo.BUN, Hairdo.SHORT, Hairdo.AFRO),
)
MASCULINE_HAIRDOS = (
    *(Hairdo.CROPPED, Hairdo.CROPPED, Hairdo.SHORT, Hairdo.SHORT),
    *(Hairdo.AFRO, Hairdo.BALD, Hairdo.BUN, Hairdo.BOB),
)


@dataclass(frozen=True)
class Hair:
    """Hair of the head and of the face."""

    hairdo: Hairdo
    colour: Colour
    hairline: float  # how much higher the forehead is, in half eye distances
    volume: float  # 0 to 1
    length: float  # 0 to 1, of what falls
    fringe: float  # 0 to 1, how far it covers the forehead
    beard: float  # 0 to 1
    brows: float  # thickness, about 1


@dataclass(frozen=True)
class Person:
    """Everything that stays the same in all frames of a person."""

    phenotype: Phenotype
    features: Mapping[str, float]  # targets and their weights
    skin: Colour
    lips: Colour
    eyes: Colour
    hair: Hair
    outfit: Outfit


def draw_person(rng: Generator) -> Person:
    """Return a person."""
    phenotype = draw_phenotype(rng)
    feminine = phenotype.gender > 0.5
    tone = _draw_tone(rng, phenotype)
    skin = np.clip(np.array(SKINS[tone]) * rng.uniform(0.95, 1.05, 3), 0, 1)
    lips = skin * ((0.85, 0.50, 0.50) if feminine else (0.86, 0.66, 0.62))
    return Person(
        phenotype=phenotype,
        features=draw_features(rng),
        skin=_colour(skin),
        lips=_colour(lips),
        eyes=BROWN_EYES if tone >= FIRST_DARK_SKIN else EYES[int(rng.integers(len(EYES)))],
        hair=_draw_hair(rng, phenotype, feminine),
        outfit=draw_outfit(rng, feminine),
    )


def _draw_tone(rng: Generator, phenotype: Phenotype) -> int:
    mean = sum(
        share * {"african": 5.2, "asian": 1.6, "caucasian": 0.6}[race]
        for race, share in phenotype.races.items()
    )
    return int(np.clip(round(mean + rng.normal(0, 0.5)), 0, len(SKINS) - 1))


def _draw_hair(rng: Generator, phenotype: Phenotype, feminine: bool) -> Hair:
    light = phenotype.races["caucasian"] >= 0.5
    colours = (*DARK_HAIRS, *LIGHT_HAIRS) if light else DARK_HAIRS
    hairdos = FEMININE_HAIRDOS if feminine else MASCULINE_HAIRDOS
    bearded = not feminine and rng.random() < 0.4
    return Hair(
        hairdo=hairdos[int(rng.integers(len(hairdos)))],
        colour=colours[int(rng.integers(len(colours)))],
        hairline=rng.uniform(-0.15, 0.25),
        volume=rng.random(),
        length=rng.random(),
        fringe=rng.random() if rng.random() < 0.4 else 0.0,
        beard=rng.uniform(0.4, 0.9) if bearded else 0.0,
        brows=rng.uniform(0.8, 1.4),
    )


def _colour(values: Floats) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue
