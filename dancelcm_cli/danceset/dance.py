"""A dance: how each joint swings on a common beat, for a figure of no particular shape.

Angles are in radians and 0 when the figure stands straight with its arms hanging down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.geometry import Floats, X, Y, Z, smoothstep, turn

SIDES = {"L": 1, "R": -1}  # and the sign of x there
MIRROR_CHANCE = 0.35  # that both arms and both legs do the same
OUT_TURN = 0.25  # of the feet


@dataclass(frozen=True)
class Beat:
    """What all movements of a dance have in common."""

    seconds: Floats  # (F,) the time of each frame
    rate: float  # beats a second
    energy: float  # scales how far everything swings

    def swing(self, rng: Generator, mean: float, amplitude: float) -> Floats:
        """Return a value (F,) that swings about `mean` on the beat, with one overtone."""
        pace = self.rate * rng.choice([0.5, 1.0, 1.0, 2.0])
        first, second = rng.uniform(0, 2 * np.pi, 2)
        phase = 2 * np.pi * pace * self.seconds
        wave = (np.sin(phase + first) + 0.35 * np.sin(2 * phase + second)) / 1.2
        value: Floats = mean + self.energy * amplitude * wave
        return value

    def steps(self, rng: Generator, values: Floats, beats: int) -> Floats:
        """Return (F, ...) that goes through rows of `values` (N, ...), a random one each `beats`.

        Each is held, and left for the next one within the last third of its time.
        """
        period = beats / self.rate
        place = (self.seconds + rng.uniform(0, period)) / period
        order = rng.integers(len(values), size=int(place[-1]) + 2)
        index = place.astype(int)
        share = smoothstep(0.67, 1, place % 1).reshape(-1, *[1] * (values.ndim - 1))
        track: Floats = (1 - share) * values[order[index]] + share * values[order[index + 1]]
        return track


@dataclass(frozen=True)
class Limbs:
    """The swings (F,) of one arm and one leg."""

    arm_out: Floats  # away from the body
    arm_forward: Floats
    arm_twist: Floats
    elbow: Floats
    forearm_twist: Floats
    wrist: Floats  # towards the palm
    leg_out: Floats
    leg_forward: Floats
    knee: Floats


@dataclass(frozen=True)
class Dance:
    """The rotations (F, 3, 3) of the joints in world axes; of paired ones a pair, by side."""

    root: Floats
    chest: Floats
    head: Floats
    collar: dict[str, Floats]
    shoulder: dict[str, Floats]
    elbow: dict[str, Floats]
    forearm_twist: dict[str, Floats]  # (F,), about the forearm
    wrist: dict[str, Floats]  # (F,), towards the palm
    hip: dict[str, Floats]
    knee: dict[str, Floats]
    foot: dict[str, Floats]


def draw_beat(rng: Generator, num_frames: int, fps: float) -> Beat:
    """Return the beat of a dance of `num_frames` frames."""
    seconds = np.arange(num_frames) / fps
    return Beat(seconds, rate=rng.uniform(0.7, 1.7), energy=rng.uniform(0.5, 1.0))


def draw_dance(rng: Generator, beat: Beat) -> Dance:
    """Return a dance on `beat`."""
    yaw = beat.swing(rng, rng.uniform(-0.3, 0.3), rng.uniform(0, 0.5))
    root, chest, head = _draw_trunk(rng, beat, yaw)
    left, right = _draw_limbs(rng, beat), _draw_limbs(rng, beat)
    limbs = {"L": left, "R": left if rng.random() < MIRROR_CHANCE else right}
    shoulder: dict[str, Floats] = {}
    hip: dict[str, Floats] = {}
    for side, sign in SIDES.items():
        arm, leg = turn(Z, sign * limbs[side].arm_out), turn(Z, sign * limbs[side].leg_out)
        arm = arm @ turn(X, -limbs[side].arm_forward) @ turn(Y, sign * limbs[side].arm_twist)
        shoulder[side], hip[side] = chest @ arm, root @ leg @ turn(X, -limbs[side].leg_forward)
    return Dance(
        root=root,
        chest=chest,
        head=head,
        collar={side: chest @ turn(Z, sign * _shrug(limbs[side])) for side, sign in SIDES.items()},
        shoulder=shoulder,
        elbow={side: shoulder[side] @ turn(X, -limbs[side].elbow) for side in SIDES},
        forearm_twist={side: sign * limbs[side].forearm_twist for side, sign in SIDES.items()},
        wrist={side: limbs[side].wrist for side in SIDES},
        hip=hip,
        knee={side: hip[side] @ turn(X, limbs[side].knee) for side in SIDES},
        foot={side: turn(Y, yaw + sign * OUT_TURN) for side, sign in SIDES.items()},
    )


def _draw_trunk(rng: Generator, beat: Beat, yaw: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the rotations (F, 3, 3) of hips, chest and head of one who turns by `yaw` (F,)."""
    root = turn(Y, yaw) @ turn(Z, beat.swing(rng, 0, 0.10)) @ turn(X, beat.swing(rng, 0.03, 0.08))
    chest = root @ turn(Y, beat.swing(rng, 0, 0.3)) @ turn(Z, beat.swing(rng, 0, 0.18))
    chest = chest @ turn(X, beat.swing(rng, 0.02, 0.15))
    head = chest @ turn(Y, beat.swing(rng, 0, 0.35)) @ turn(X, beat.swing(rng, -0.05, 0.15))
    return root, chest, head @ turn(Z, beat.swing(rng, 0, 0.12))


def _draw_limbs(rng: Generator, beat: Beat) -> Limbs:
    def swing(mean: tuple[float, float], amplitude: tuple[float, float]) -> Floats:
        return beat.swing(rng, rng.uniform(*mean), rng.uniform(*amplitude))

    return Limbs(
        arm_out=np.clip(swing((0.15, 2.2), (0.1, 0.8)), 0.1, 2.9),
        arm_forward=swing((-0.2, 0.9), (0.1, 0.7)),
        arm_twist=swing((-0.6, 0.6), (0.5, 0.5)),
        elbow=np.clip(np.abs(swing((0.2, 1.6), (0.1, 0.8))), 0, 2.4),
        forearm_twist=swing((-0.5, 0.7), (0.1, 0.6)),
        wrist=swing((-0.4, 0.4), (0.1, 0.5)),
        leg_out=np.abs(swing((0.03, 0.35), (0.12, 0.12))),
        leg_forward=swing((0, 0.45), (0.05, 0.45)),
        knee=np.clip(np.abs(swing((0.1, 0.6), (0.05, 0.45))), 0, 1.8),
    )


def _shrug(limbs: Limbs) -> Floats:
    """Return how far (F,) the collarbone rises with the arm: a third of what is above level."""
    rise: Floats = np.clip(limbs.arm_out - 1.2, 0, None) / 3
    return rise
