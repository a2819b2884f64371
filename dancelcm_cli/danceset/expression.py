"""Faces that smile, sing, wonder and blink, by MakeHuman's expression targets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.body import RACES, Mix
from dancelcm_cli.danceset.dance import Beat
from dancelcm_cli.danceset.geometry import Floats, Ints
from dancelcm_cli.danceset.makehuman import load_base, read_target

MOODS: tuple[Mapping[str, float], ...] = (
    {},
    {"mouth-corner-puller": 0.8, "eye-left-slit": 0.3, "eye-right-slit": 0.3},
    {"mouth-corner-puller": 1.0, "mouth-open": 0.3,
     "eyebrows-left-up": 0.3, "eyebrows-right-up": 0.3},
    {"mouth-open": 0.6, "eyebrows-left-inner-up": 0.5, "eyebrows-right-inner-up": 0.5},
    {"mouth-open": 0.4, "eyebrows-left-up": 1.0, "eyebrows-right-up": 1.0,
     "eye-left-opened-up": 0.7, "eye-right-opened-up": 0.7},
    {"eyebrows-left-down": 0.8, "eyebrows-right-down": 0.8, "mouth-compression": 0.6},
    {"mouth-protusion": 0.7, "mouth-pursing": 0.5},
    {"mouth-depression": 0.6, "eyebrows-left-inner-up": 0.7, "eyebrows-right-inner-up": 0.7},
    {"mouth-part-later": 0.5, "mouth-upward-retraction": 0.5, "nose-compression": 0.5},
)  # fmt: skip
EYES = ("eye-left-closure", "eye-right-closure")
UNITS = tuple(dict.fromkeys(name for mood in (*MOODS, dict.fromkeys(EYES, 1.0)) for name in mood))
BLINK = 0.17  # seconds from open to shut, and as many from shut to open


def draw_expression(rng: Generator, beat: Beat) -> Floats:
    """Return how strong (F, U) each of `UNITS` is in each frame: moods that change, and blinks."""
    strengths = np.array([[mood.get(name, 0) for name in UNITS] for mood in MOODS])
    chosen = strengths[rng.choice(len(MOODS), size=3)] * rng.uniform(0.6, 1, (3, 1))
    track = beat.steps(rng, chosen, beats=int(rng.integers(1, 5)))
    singing = np.clip(beat.swing(rng, 0, 0.15), 0, None)
    track[:, UNITS.index("mouth-open")] += singing
    blink = np.clip(1 - np.abs(beat.seconds - rng.uniform(0, 3)) / BLINK, 0, 1)
    for eye in EYES:
        track[:, UNITS.index(eye)] = blink
    return track


@cache
def _unit_offsets(race: str) -> Floats:
    """Return how far (U, V, 3) each unit moves each base vertex in a face of `race`."""
    offsets = np.zeros((len(UNITS), len(load_base().vertices), 3), np.float32)
    for row, name in zip(offsets, UNITS, strict=True):
        target = read_target(f"expression/units/{race}/{name}")
        if target is not None:
            row[target.vertices] = target.offsets
    return offsets


@cache
def moved_vertices() -> Ints:
    """Return the base vertices (N,) that expressions may move."""
    moved = [np.abs(_unit_offsets(race)).max(axis=(0, 2)) > 0 for race in RACES]
    return np.flatnonzero(np.any(moved, axis=0))


def expression_offsets(track: Floats, races: Mix) -> Floats:
    """Return how far (F, N, 3) the `moved_vertices` of a face move in each frame.

    Args:
        track: The strength (F, U) of each unit.
        races: Of the person, shares that sum to 1.
    """
    ids = moved_vertices()
    units = sum((share * _unit_offsets(race)[:, ids] for race, share in races.items()))
    return np.tensordot(track.astype(np.float32), units, axes=1).astype(np.float32)
