from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.animate.motion import Motion, read_motion
from dancelcm_cli.animate.people import PersonFinder
from dancelcm_cli.animate.posing import Posing, bring_together
from dancelcm_cli.animate.preview import CELL_HEIGHT, MOMENTS, draw_alignment
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import write_video
from dancelcm_cli.perception.drawing import draw_poses

MakeRecipe = Callable[..., Recipe]
Pose = Callable[[Motion], Posing]


@pytest.fixture
def image(photo: Path) -> Frames:
    return read_image(photo)


@pytest.fixture
def pose(image: Frames, make_recipe: MakeRecipe, finder: PersonFinder) -> Pose:
    return lambda motion: bring_together(image, motion, make_recipe(), finder)


@pytest.fixture
def motion(dancer: Path, make_recipe: MakeRecipe, finder: PersonFinder) -> Motion:
    return read_motion(dancer, make_recipe("animate.num_frames=0").animate, finder)


def test_the_sheet_shows_the_picture_and_moments_of_the_dance(
    image: Frames, motion: Motion, pose: Pose
) -> None:
    sheet = draw_alignment(image, pose(motion))
    cell_width = CELL_HEIGHT * image.shape[1] // image.shape[0]
    assert 2 * CELL_HEIGHT < sheet.shape[0] < 2.2 * CELL_HEIGHT
    assert (1 + MOMENTS) * cell_width < sheet.shape[1] < (1 + MOMENTS) * cell_width * 1.1


def test_the_sheet_shows_where_the_poses_lie(image: Frames, motion: Motion, pose: Pose) -> None:
    posing = pose(motion)
    assert posing.aligned is not None
    moved = posing.aligned.copy()
    moved[..., 0] += 0.2
    sheet, other = (draw_alignment(image, one) for one in (posing, replace(posing, aligned=moved)))
    assert np.array_equal(sheet[:CELL_HEIGHT], other[:CELL_HEIGHT])
    assert not np.array_equal(sheet[CELL_HEIGHT:], other[CELL_HEIGHT:])


def test_a_short_dance_has_fewer_moments(image: Frames, motion: Motion, pose: Pose) -> None:
    short = replace(motion, indices=motion.indices[:2], keypoints=motion.keypoints[:2])
    whole, part = draw_alignment(image, pose(motion)), draw_alignment(image, pose(short))
    assert part.shape[1] < whole.shape[1] / 2


def test_keypoints_alone_and_drawn_poses_have_a_sheet_as_well(
    image: Frames, motion: Motion, pose: Pose, tmp_path: Path, make_recipe: MakeRecipe,
    finder: PersonFinder,
) -> None:  # fmt: skip
    write_video(tmp_path / "poses.mp4", draw_poses(motion.keypoints, 192, 128), 12)
    drawn = read_motion(tmp_path / "poses.mp4", make_recipe().animate, finder)
    alone = Motion("keypoints", Fraction(12), motion.size, motion.indices, None, motion.keypoints)
    for one in (drawn, alone):
        assert draw_alignment(image, pose(one)).std() > 10
