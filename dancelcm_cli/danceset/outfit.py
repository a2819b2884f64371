"""What a dancer wears: colours, patterns, and where each garment ends on the body.

Garments are cut out of MakeHuman's shells by body coordinates: `height` is 0 at the ankles and 1
at the neck, `sleeve` 0 at the shoulder and 1 at the wrist.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from numpy.random import Generator

Colour = tuple[float, float, float]  # red, green, blue, each from 0 to 1

WAIST = 0.69
SHORTS_UNDER_SKIRT = 0.52


class Pattern(IntEnum):
    """How two colours make a fabric; `shaders/cloth.frag` draws them."""

    PLAIN = 0
    HOOPS = 1
    STRIPES = 2
    CHECKS = 3
    DOTS = 4
    BADGE = 5
    BLOTCHES = 6


@dataclass(frozen=True)
class Fabric:
    """A cloth of one or two colours."""

    first: Colour
    second: Colour
    pattern: Pattern


@dataclass(frozen=True)
class Top:
    """A shirt, or the upper part of a dress."""

    fabric: Fabric
    hem: float  # height
    neckline: float  # dm about the neck joint that stay free
    sleeve: float


@dataclass(frozen=True)
class Bottom:
    """Trousers or shorts; under a skirt they are short."""

    fabric: Fabric
    waist: float  # height
    hem: float
    skirt_hem: float | None  # height; None: there is no skirt
    flare: float  # dm by which the legs widen towards the hem


@dataclass(frozen=True)
class Shoes:
    """A pair of shoes, or of boots."""

    upper: Colour
    sole: Colour
    laces: Colour
    collar: float  # height
    sole_thickness: float  # dm


@dataclass(frozen=True)
class Outfit:
    """All that is worn."""

    top: Top
    bottom: Bottom
    shoes: Shoes
    looseness: float  # dm between the body and its clothes


def draw_outfit(rng: Generator, feminine: bool) -> Outfit:
    """Return clothes; skirts and dresses are for `feminine` people."""
    styles = ["trousers", "shorts", "skirt", "dress"] if feminine else ["trousers"] * 2 + ["shorts"]
    style = str(rng.choice(styles))
    shirt, cloth = _draw_fabric(rng, list(Pattern)), _draw_fabric(rng, _BOTTOM_PATTERNS)
    legs = {"trousers": 0.02, "shorts": 0.36}.get(style, SHORTS_UNDER_SKIRT)
    return Outfit(
        top=Top(
            fabric=shirt,
            hem=0.60 + 0.06 * rng.random(),
            neckline=rng.uniform(0.62, 1.05),
            sleeve=float(rng.choice([0.02, 0.34, 0.36, 0.62, 0.96])),
        ),
        bottom=Bottom(
            fabric=shirt if style == "dress" else cloth,
            waist=WAIST,
            hem=legs,
            skirt_hem=rng.uniform(0.22, 0.45) if style in ("skirt", "dress") else None,
            flare=float(rng.choice([0.0, 0.1, 0.25])),
        ),
        shoes=_draw_shoes(rng),
        looseness=rng.uniform(0.05, 0.20),
    )


_BOTTOM_PATTERNS = [Pattern.PLAIN] * 3 + [Pattern.STRIPES, Pattern.CHECKS, Pattern.BLOTCHES]


def _draw_fabric(rng: Generator, patterns: list[Pattern]) -> Fabric:
    pattern = patterns[int(rng.integers(len(patterns)))]
    return Fabric(_draw_colour(rng), _draw_colour(rng), pattern)


def _draw_shoes(rng: Generator) -> Shoes:
    white = (0.85, 0.85, 0.85)
    upper = _draw_colour(rng)
    return Shoes(
        upper=upper,
        sole=white if rng.random() < 0.6 else _draw_colour(rng),
        laces=white if rng.random() < 0.5 else _draw_colour(rng),
        collar=float(rng.choice([-0.01, 0.01, 0.03, 0.14])),
        sole_thickness=rng.uniform(0.06, 0.22),
    )


def _draw_colour(rng: Generator) -> Colour:
    red, green, blue = (rng.beta(0.8, 0.8, 3) * 0.9 + 0.05).tolist()
    return red, green, blue
