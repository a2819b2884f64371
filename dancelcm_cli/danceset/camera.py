"""A still camera that has the whole dance in view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dancelcm_cli.danceset.geometry import Floats, Y, unit

NEAR, FAR = 2.0, 400.0  # dm
MARGIN = 0.05  # of the frame that stays free at the tightest edge


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, and the frame it fills."""

    eye: Floats  # (3,)
    axes: Floats  # (3, 3): rows to the right, up and backwards
    zoom: float  # 1 / tan(half of the vertical angle of view)
    height: int  # pixels
    width: int

    @property
    def matrix(self) -> Floats:
        """OpenGL's matrix (4, 4) from world to clip coordinates."""
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = self.axes, -self.axes @ self.eye
        projection = np.zeros((4, 4))
        projection[0, 0] = self.zoom * self.height / self.width
        projection[1, 1] = self.zoom
        projection[2, 2:] = -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
        projection[3, 2] = -1
        return projection @ view

    @property
    def yaw(self) -> float:
        """Where the camera stands, in radians from the front to the left."""
        return float(np.arctan2(self.axes[2, 0], self.axes[2, 2]))

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Return pixels (..., 2) as x, y from the top left corner, and depths (...) in dm.

        The centre of the first pixel is at (0.5, 0.5); the depth counts along the line of sight.
        """
        local = (points - self.eye) @ self.axes.T
        depths = -local[..., 2]
        x = self.zoom * self.height / self.width * local[..., 0] / depths
        y = self.zoom * local[..., 1] / depths
        return np.stack([(x + 1) / 2 * self.width, (1 - y) / 2 * self.height], axis=-1), depths


def depth_of(buffer: Floats) -> Floats:
    """Return the depths in dm of the values, 0 to 1, of a depth buffer."""
    return 2 * NEAR * FAR / (FAR + NEAR - (2 * buffer - 1) * (FAR - NEAR))


def look_at(
    target: Floats, distance: float, yaw: float, rise: float, view: float, size: tuple[int, int]
) -> Camera:
    """Return a camera that looks at `target` (3,) from `distance` dm away.

    Args:
        target: The middle of the picture.
        distance: Along the floor.
        yaw: Where the camera stands, in radians from the front to the left.
        rise: How much higher than the target it stands, in distances.
        view: The vertical angle of view in radians.
        size: The frame's height and width in pixels.
    """
    offset = distance * np.array([np.sin(yaw), rise, np.cos(yaw)])
    back = unit(offset)
    right = unit(np.cross(Y, back))
    axes = np.stack([right, np.cross(back, right), back])
    return Camera(target + offset, axes, 1 / np.tan(view / 2), *size)


def draw_camera(rng: Generator, points: Floats, facing: float, size: tuple[int, int]) -> Camera:
    """Return a camera before the dancer that has all `points` (..., 3) of the dance in view.

    `facing` is the direction that the dancer faces on the whole, as a yaw in radians.
    """
    points = points.reshape(-1, 3)
    target = (points.min(axis=0) + points.max(axis=0)) / 2
    yaw = facing + rng.uniform(-0.45, 0.45)
    rise, view = rng.uniform(0.02, 0.14), np.radians(rng.uniform(24, 32))
    distance = 20.0
    for _ in range(12):  # converges quickly: the extent falls nearly as 1 / distance
        camera = look_at(target, distance, yaw, rise, view, size)
        pixels, _ = camera.project(points)
        extent = np.abs(pixels / (camera.width, camera.height) - 0.5).max()
        distance *= 0.5 + 0.5 * float(extent) / (0.5 - MARGIN)
    return camera
