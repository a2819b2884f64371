"""Which of several people is meant, and who is who from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.config.schema import Person
from dancelcm_cli.perception.boxes import Boxes, areas, overlaps
from dancelcm_cli.perception.keypoints import BODY, SEEN_THRESHOLD

Keypoints = NDArray[np.float32]

LEAST_LIKENESS = 0.2  # of two sightings of one person, see `likeness`
REACH = 0.25  # mean distance of the same points, in box heights, at which poses are hardly alike
PATIENCE = 2  # looks in a row that somebody may be missing from, and still be the same person


@dataclass(frozen=True)
class Sighting:
    """One person in one frame."""

    box: NDArray[np.float64]  # (4,) pixels
    pose: Keypoints  # (134, 3) pixels and score


@dataclass
class Track:
    """One person over time: the numbers of the frames it was seen in, ascending, and how."""

    frames: list[int] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def boxes(self) -> Boxes:
        """The boxes (N, 4) in those frames."""
        return np.stack([sighting.box for sighting in self.sightings])

    def boxes_between(self) -> tuple[list[int], Boxes]:
        """Return all frames from the first to the last, and the box in each, moved steadily."""
        frames = list(range(self.frames[0], self.frames[-1] + 1))
        edges = [np.interp(frames, self.frames, edge) for edge in self.boxes.T]
        return frames, np.stack(edges, axis=-1)


def link(looks: Sequence[tuple[int, Sequence[Sighting]]]) -> list[Track]:
    """Return who was seen in a sequence of looks, each with the number of its frame.

    The most alike sightings of neighbouring looks belong together; whoever is missing from more
    than `PATIENCE` looks in a row is somebody else afterwards.
    """
    tracks: list[Track] = []
    missed: dict[int, int] = {}  # looks that a track was missing from, by its number
    for frame, sightings in looks:
        alive = [number for number, misses in missed.items() if misses <= PATIENCE]
        table = np.array(
            [[likeness(tracks[n].sightings[-1], seen) for seen in sightings] for n in alive]
        ).reshape(len(alive), len(sightings))
        found: dict[int, int] = {}  # the track of each sighting
        while table.size and table.max() >= LEAST_LIKENESS:
            row, column = np.unravel_index(int(table.argmax()), table.shape)
            found[int(column)] = alive[int(row)]
            table[row], table[:, column] = -1, -1
        missed = {n: misses + 1 for n, misses in missed.items()}
        for place, sighting in enumerate(sightings):
            number = found.get(place, len(tracks))
            if number == len(tracks):
                tracks.append(Track())
            tracks[number].frames.append(frame)
            tracks[number].sightings.append(sighting)
            missed[number] = 0
    return tracks


def likeness(one: Sighting, other: Sighting) -> float:
    """Return how probably two sightings are of the same person, in [0, 1].

    It is the mean of the boxes' overlap and of how near the body points are which both show; where
    there are none, the overlap alone.
    """
    overlap = float(overlaps(one.box[None], other.box[None])[0, 0])
    both = (one.pose[BODY, 2] > SEEN_THRESHOLD) & (other.pose[BODY, 2] > SEEN_THRESHOLD)
    if not both.any():
        return overlap
    ways = one.pose[BODY, :2][both] - other.pose[BODY, :2][both]
    height = max(float(one.box[3] - one.box[1]), 1.0)
    away = float(np.linalg.norm(ways, axis=-1).mean()) / (REACH * height)
    return (overlap + float(np.exp(-(away**2)))) / 2


def choose_track(
    tracks: Sequence[Track],
    person: Person,
    height: int,
    width: int,
    before: Keypoints | None = None,
) -> Track | None:
    """Return the track of the person that is meant in frames of `height` x `width` pixels.

    See `choose_person`; a size is the sum over the frames, so that staying counts. Of several
    people at a time it is the one who is most alike to `before` (134, 3), in frame widths and
    heights, if anybody is.
    """
    if not tracks:
        return None
    if before is not None and _meet(tracks):
        known = _sighting_of(before, height, width)
        alike = [likeness(known, track.sightings[0]) for track in tracks]
        if max(alike) >= LEAST_LIKENESS:
            return tracks[int(np.argmax(alike))]
    sizes = np.array([areas(track.boxes).sum() for track in tracks])
    middles = [np.median((t.boxes[:, :2] + t.boxes[:, 2:]) / 2, axis=0) for t in tracks]
    number = choose_person(person, sizes, np.array(middles) / (width, height))
    return None if number is None else tracks[number]


def _meet(tracks: Sequence[Track]) -> bool:
    """Whether two people are seen in one frame: else all tracks may well be of one person."""
    frames = [frame for track in tracks for frame in track.frames]
    return len(set(frames)) < len(frames)


def _sighting_of(pose: Keypoints, height: int, width: int) -> Sighting:
    """Return somebody by the pose (134, 3) alone, in frame widths and heights."""
    scaled = pose * np.array([width, height, 1], np.float32)
    seen = scaled[scaled[:, 2] > SEEN_THRESHOLD, :2]
    seen = seen if len(seen) else scaled[:, :2]
    return Sighting(np.concatenate([seen.min(axis=0), seen.max(axis=0)]).astype(float), scaled)


def choose_person(
    person: Person, sizes: NDArray[np.float64], places: NDArray[np.float64]
) -> int | None:
    """Return the number of the person that is meant, or None where there are less people.

    Args:
        person: "largest"; "center", who is nearest to the middle of the picture; or a number,
            counted from the left.
        sizes: (N,) in any unit.
        places: (N, 2) x and y of each person in frame widths and heights.
    """
    if not len(sizes):
        return None
    if person == "largest":
        return int(np.argmax(sizes))
    if person == "center":
        return int(np.argmin(np.linalg.norm(places - 0.5, axis=-1)))
    if person > len(sizes):
        return None
    return int(np.argsort(places[:, 0], kind="stable")[person - 1])
