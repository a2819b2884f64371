"""Where the dance takes place: a floor, a wall, and the light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.geometry import Floats, Y, turn, unit
from dancelcm_cli.danceset.outfit import Colour

WALL_DISTANCE = 14.0  # dm behind the place where the dancer stands
EXTENT = 150.0  # dm from there to where floor and wall end, out of view
WALL_MARK = 1000.0  # added to heights on the wall, by which the shader tells it from the floor


class Surface(IntEnum):
    """What wall and floor are made of; `shaders/room.frag` draws them."""

    BARE = 0
    BOARDS = 1
    BRICKS = 2
    CLOUDS = 3


@dataclass(frozen=True)
class Room:
    """A floor at height 0 and a wall behind it, in the light of one lamp and the sky."""

    wall: Colour  # at its foot
    wall_top: Colour
    floor: Colour
    surface: Surface
    yaw: float  # of the wall, in radians from facing the front
    lamp: Floats  # (3,) unit vector towards it
    lamp_strength: float
    ambient: float


def draw_room(rng: Generator, camera_yaw: float) -> Room:
    """Return a room whose wall is about opposite a camera at `camera_yaw` radians."""
    return Room(
        wall=_draw_colour(rng, 0.25, 0.95),
        wall_top=_draw_colour(rng, 0.3, 1.0),
        floor=_draw_colour(rng, 0.25, 0.8),
        surface=Surface(int(rng.integers(len(Surface)))),
        yaw=camera_yaw + rng.uniform(-0.3, 0.3),
        lamp=unit(np.array([rng.uniform(-0.7, 0.7), 1.3, rng.uniform(0.5, 1.2)])),
        lamp_strength=rng.uniform(0.5, 0.75),
        ambient=rng.uniform(0.42, 0.58),
    )


def room_mesh(room: Room) -> Floats:
    """Return the corners (12, 3 + 2) of floor and wall: points, and their places on the two.

    A place on the floor is x, z, one on the wall is x, `WALL_MARK` + y, both before the wall turns.
    """
    left, right, back, front = -EXTENT, EXTENT, -WALL_DISTANCE, EXTENT
    floor = [(left, 0, back), (right, 0, back), (left, 0, front), (right, 0, front)]
    wall = [(left, 0, back), (right, 0, back), (left, EXTENT, back), (right, EXTENT, back)]
    places = [(x, z) for x, _, z in floor] + [(x, WALL_MARK + y) for x, y, _ in wall]
    points = np.array(floor + wall) @ turn(Y, room.yaw).T
    corners = [0, 1, 2, 1, 3, 2, 4, 5, 6, 5, 7, 6]
    return np.concatenate([points, np.array(places)], axis=1)[corners].astype(np.float32)


def shadow_matrix(room: Room, points: Floats) -> Floats:
    """Return the matrix (4, 4) of the lamp's view of all `points` (..., 3) that cast a shadow."""
    side = unit(np.cross(Y, room.lamp))
    axes = np.stack([side, np.cross(room.lamp, side), -room.lamp])
    seen = points.reshape(-1, 3) @ axes.T
    low, high = seen.min(axis=0) - 1, seen.max(axis=0) + 1
    high[2] += 40  # the floor behind the dancer is in the shadow's view, too
    matrix = np.eye(4)
    matrix[:3, :3] = axes * (2 / (high - low))[:, None]
    matrix[:3, 3] = -(high + low) / (high - low)
    return matrix


def _draw_colour(rng: Generator, low: float, high: float) -> Colour:
    values = np.clip(rng.uniform(low, high) + rng.normal(0, 0.07, 3), 0, 1)
    red, green, blue = values.tolist()
    return red, green, blue
