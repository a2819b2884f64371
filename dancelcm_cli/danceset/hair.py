"""Hair as surfaces: a cap that follows the skull, falls as a curtain, and may be tied at the back.

The cap is a grid of strands. They start at the crown and run down all around; a strand's course is
an angle about the axis of the hairline, a plane that rises from the nape to the forehead. Where
hair is long, strands run on below the hairline and fall straight down, clear of neck and shoulders.

The chart (N, 4) of hair holds the course of the strand (0 to 1 around the head), how far along the
strand a point lies (0 at the root, 1 at the tip), the length of the strand in dm, and 0.
"""

from __future__ import annotations

import numpy as np

from dancelcm_cli.danceset.geometry import Floats, Ints, X, Y, smoothstep, unit, vertex_normals
from dancelcm_cli.danceset.makehuman import NUM_BODY_VERTICES
from dancelcm_cli.danceset.parts import FREE, Material, Part
from dancelcm_cli.danceset.person import Hair, Hairdo
from dancelcm_cli.danceset.skeleton import load_skeleton
from dancelcm_cli.danceset.skull import CROWN, Skull, find_hairline, measure_skull

NUM_COURSES, NUM_CAP_ROWS, NUM_FALL_ROWS = 64, 14, 14
COURSES = np.linspace(-np.pi, np.pi, NUM_COURSES)  # 0 runs over the nose, positive ones to the left
# dm that hair stands off the skull, without and with all volume; how suddenly it ends at the edge
THICKNESS = {
    Hairdo.CROPPED: (0.05, 0.11, 4),
    Hairdo.SHORT: (0.12, 0.32, 4),
    Hairdo.AFRO: (0.35, 0.95, 10),
    Hairdo.BOB: (0.12, 0.25, 12),
    Hairdo.LONG: (0.10, 0.22, 12),
    Hairdo.PONYTAIL: (0.05, 0.10, 6),
    Hairdo.BUN: (0.05, 0.10, 6),
}
FALLING = {Hairdo.BOB: (0.5, 1.1), Hairdo.LONG: (1.5, 4.5)}  # dm below the hairline
OPEN_ANGLE = np.radians(62)  # on either side of the nose, where no hair falls


def make_hair(
    hair: Hair, vertices: Floats, normals: Floats, joints: Floats, clearance: float
) -> list[Part]:
    """Return the surfaces of `hair` on a head.

    Args:
        hair: What it looks like.
        vertices: The body's rest shape (V, 3).
        normals: Its normals (V, 3).
        joints: Its joints (B, 3) at rest.
        clearance: How far in dm falling hair keeps from the body.
    """
    if hair.hairdo is Hairdo.BALD:
        return []
    hairline = find_hairline(hair, joints)
    skull = measure_skull(vertices, joints, hairline)
    points = _cap(hair, skull, hairline)
    if hair.hairdo in FALLING:
        points = _fall(hair, points, skull)
        points = _clear(points, clearance * _falling(hair), vertices, normals)
    parts = [_grid_part(points, joints)]
    if hair.hairdo in (Hairdo.PONYTAIL, Hairdo.BUN):
        parts.append(_grid_part(_tail(hair, skull), joints))
    return parts


def _cap(hair: Hair, skull: Skull, hairline: Floats) -> Floats:
    """Return strands (courses, rows, 3) from the crown to the hairline, or over the forehead."""
    forward = smoothstep(np.cos(OPEN_ANGLE), 1, np.cos(COURSES))
    ends = _hairline_angles(skull, hairline) * (1 + 0.35 * hair.fringe * forward)
    along = np.linspace(0, 1, NUM_CAP_ROWS)
    rays = _rays(np.outer(ends, along))
    reach = skull.radius(rays) + _thickness(hair, along) * _bumps(hair, along)
    return skull.centre + rays * reach[..., None]


def _rays(angles: Floats) -> Floats:
    """Return unit vectors (courses, N, 3) at `angles` (courses, N) from the crown."""
    sideways = np.sin(COURSES)[:, None] * X + np.cos(COURSES)[:, None] * np.cross(X, CROWN)
    rays: Floats = np.cos(angles)[..., None] * CROWN + np.sin(angles)[..., None] * sideways[:, None]
    return rays


def _hairline_angles(skull: Skull, hairline: Floats) -> Floats:
    """Return how far (courses,) from the crown, as angles, the skull meets the hairline's plane."""
    angles = np.linspace(0, np.radians(150), 60)
    rays = _rays(np.tile(angles, (NUM_COURSES, 1)))
    surface = skull.centre + rays * skull.radius(rays)[..., None]
    below = (hairline - surface) @ CROWN  # grows along a strand
    return np.array([np.interp(0, row, angles) for row in below])


def _falling(hair: Hair) -> Floats:
    """Return which strands (courses,) run on below the hairline, from 0 to 1."""
    loose = hair.hairdo in FALLING
    return loose * smoothstep(OPEN_ANGLE, OPEN_ANGLE + 0.5, np.abs(COURSES))


def _thickness(hair: Hair, along: Floats) -> Floats:
    """Return how far (courses, rows) hair stands off the skull, in dm."""
    low, high, edge = THICKNESS[hair.hairdo]
    thinning = 0.85 * np.outer(1 - _falling(hair), along**edge)
    return (low + (high - low) * hair.volume) * (1 - thinning) + 0.02


def _bumps(hair: Hair, along: Floats) -> Floats:
    """Return factors (courses, rows) of the thickness that give it locks."""
    depth = 0.10 if hair.hairdo is Hairdo.SHORT else 0.04
    locks = np.sin(9 * COURSES)[:, None] * np.cos(7 * along) + np.sin(14 * COURSES + 1)[:, None]
    bumps: Floats = 1 + depth * locks * np.sin(np.pi * along)  # none at the crown, where all meet
    return bumps


def _fall(hair: Hair, cap: Floats, skull: Skull) -> Floats:
    """Return strands (courses, rows, 3) that run on downwards; those over the face do not."""
    low, high = FALLING[hair.hairdo]
    lengths = (low + (high - low) * hair.length) * _falling(hair)
    beside = np.abs(COURSES) < np.radians(115)  # where longer hair would lie on the shoulders
    lengths = np.where(beside, np.minimum(lengths, 1.7), lengths)
    steps = np.linspace(0, 1, NUM_FALL_ROWS + 1)[1:]
    drop = cap[:, -1:] - (lengths[:, None] * steps)[..., None] * Y
    strands = np.concatenate([cap, drop], axis=1)
    # Falling hair does not follow the skull inwards: it keeps the widest distance it has had.
    flat = strands[..., [0, 2]] - skull.centre[[0, 2]]
    distance = np.linalg.norm(flat, axis=-1)
    widest = np.maximum.accumulate(distance, axis=1)
    falls = smoothstep(0, 0.5, lengths)[:, None]
    wanted = distance + falls * (widest - distance)
    waves = 0.05 * np.sin(11 * COURSES)[:, None] * np.linspace(0, 1, strands.shape[1])
    flat *= ((wanted + falls * waves) / np.maximum(distance, 1e-6))[..., None]
    strands[..., [0, 2]] = skull.centre[[0, 2]] + flat
    return strands


def _clear(strands: Floats, clearances: Floats, vertices: Floats, normals: Floats) -> Floats:
    """Return `strands` (courses, rows, 3) pushed out of the body where they fall.

    Each keeps away from it by its own of the `clearances` (courses,) in dm; 0 leaves it alone.
    """
    near = vertices[:NUM_BODY_VERTICES, 1] > strands[..., 1].min() - 0.5
    skin, outwards = (array[:NUM_BODY_VERTICES][near] for array in (vertices, normals))
    falling = strands[:, NUM_CAP_ROWS:].reshape(-1, 3)
    wanted = np.repeat(clearances, strands.shape[1] - NUM_CAP_ROWS)
    for _ in range(2):
        nearest = ((skin**2).sum(axis=1) - 2 * falling @ skin.T).argmin(axis=1)
        depth = ((falling - skin[nearest]) * outwards[nearest]).sum(axis=-1)
        push = np.where(wanted > 0, np.clip(wanted - depth, 0, 0.4), 0)
        falling = falling + push[:, None] * outwards[nearest]
    cleared = falling.reshape(NUM_COURSES, -1, 3)
    return np.concatenate([strands[:, :NUM_CAP_ROWS], cleared], axis=1)


def _tail(hair: Hair, skull: Skull) -> Floats:
    """Return a tube (courses, rows, 3) at the back of the head: a ponytail, or a bun."""
    around = np.linspace(-np.pi, np.pi, 17)
    along = np.linspace(0, 1, NUM_FALL_ROWS)
    back = unit(np.array([0, 0.2 + 0.9 * hair.fringe + 0.3 * hair.volume, -1]))
    root = skull.centre + back * skull.radius(back)
    if hair.hairdo is Hairdo.BUN:
        size = 0.25 + 0.2 * hair.volume
        spine = root + np.outer(2 * size * along - 0.3 * size, back)
        widths = size * np.sqrt(np.clip(1 - (2 * along - 1) ** 2, 0, 1))
    else:
        length = 1.2 + 2.5 * hair.length
        out = 0.3 * np.sin(np.pi * np.clip(2 * along, 0, 1)) + 0.3 * along
        spine = root + np.outer(out, back) - np.outer(length * along**1.4, Y)
        widths = (0.15 + 0.15 * hair.volume) * np.sin(np.pi * (0.15 + 0.83 * along)) ** 0.6
    other = unit(np.cross(np.gradient(spine, axis=0), X))
    ring = np.cos(around)[:, None, None] * X + np.sin(around)[:, None, None] * other
    return spine + widths[:, None] * ring


def _grid_part(strands: Floats, joints: Floats) -> Part:
    """Return the surface through neighbouring strands (courses, rows, 3)."""
    courses, rows, _ = strands.shape
    points = strands.reshape(-1, 3).astype(np.float32)
    triangles = _grid_triangles(courses, rows)
    steps = np.linalg.norm(np.diff(strands, axis=1, prepend=strands[:, :1]), axis=-1)
    lengths = np.cumsum(steps, axis=1)
    total = np.broadcast_to(lengths[:, -1:], lengths.shape)
    course = np.broadcast_to(np.linspace(0, 1, courses)[:, None], lengths.shape)
    chart = np.stack([course, lengths / total, total, np.zeros_like(total)], axis=-1)
    normals = vertex_normals(points, triangles).reshape(courses, rows, 3)
    normals[0] = normals[-1] = unit(normals[0] + normals[-1])  # the seam
    return Part(
        material=Material.HAIR,
        points=points,
        normals=normals.reshape(-1, 3),
        triangles=triangles,
        weights=_hang_weights(points, joints),
        source=np.full(len(points), FREE),
        uvs=np.zeros((len(points), 2), np.float32),
        chart=chart.reshape(-1, 4).astype(np.float32),
    )


def _grid_triangles(courses: int, rows: int) -> Ints:
    corner = np.arange(courses - 1)[:, None] * rows + np.arange(rows - 1)
    a, b, c, d = corner, corner + 1, corner + rows, corner + rows + 1
    return np.stack([a, b, c, b, d, c], axis=-1).reshape(-1, 3).astype(np.int32)


def _hang_weights(points: Floats, joints: Floats) -> Floats:
    """Return weights (N, B): hair follows the head, and the back the further down it lies."""
    index = load_skeleton().index
    neck, head = joints[index("neck01"), 1], joints[index("head"), 1]
    share = smoothstep(neck - 1.0, head - 0.2, points[:, 1])
    weights = np.zeros((len(points), len(joints)), np.float32)
    weights[:, index("head")], weights[:, index("spine01")] = share, 1 - share
    return weights
