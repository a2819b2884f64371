from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dancelcm_cli.animate.motion import Motion, read_motion
from dancelcm_cli.animate.people import PersonFinder
from dancelcm_cli.animate.posing import bring_together, shown_size
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.core.windows import plan_windows
from dancelcm_cli.data.decoding import Decoder
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import read_frames, write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_pose, draw_poses
from dancelcm_cli.perception.keypoints import read_annotation

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def image(photo: Path) -> Frames:
    return read_image(photo)


@pytest.fixture
def motion(dancer: Path, make_recipe: MakeRecipe, finder: PersonFinder) -> Motion:
    return read_motion(dancer, make_recipe().animate, finder)


def test_a_dance_of_the_picture_itself_is_left_as_it_is(
    image: Frames, motion: Motion, make_recipe: MakeRecipe, finder: PersonFinder
) -> None:
    assert motion.keypoints is not None
    posing = bring_together(image, motion, make_recipe(), finder, motion.keypoints[0])
    assert np.array_equal(posing.poses(range(3)), draw_poses(motion.keypoints, 64, 64))
    assert np.array_equal(posing.reference_pose, draw_pose(motion.keypoints[0], 64, 64))


def test_another_figure_is_fitted_unless_told_otherwise(
    image: Frames, motion: Motion, make_recipe: MakeRecipe, finder: PersonFinder
) -> None:
    raw = draw_poses(motion.keypoints, 64, 64)
    fitted = bring_together(image, motion, make_recipe(), finder)
    assert not np.array_equal(fitted.poses(range(3)), raw)
    unfitted = bring_together(image, motion, make_recipe("animate.align=none"), finder)
    assert np.array_equal(unfitted.poses(range(3)), raw)


def test_poses_of_a_part_are_that_part_of_all_poses(
    image: Frames, dancer: Path, tmp_path: Path, make_recipe: MakeRecipe, finder: PersonFinder
) -> None:
    keypoints = read_annotation(dancer.with_suffix(".npz"), 384, 256)[:6]
    drawn = tmp_path / "drawn.mp4"
    write_video(drawn, draw_poses(keypoints, 96, 64), 12)
    recipe = make_recipe("animate.num_frames=6")
    for driving in (dancer, drawn):
        motion = read_motion(driving, recipe.animate, finder)
        posing = bring_together(image, motion, recipe, finder)
        everything = posing.poses(range(6))
        assert everything.shape == (6, 64, 64, 3)
        assert np.array_equal(posing.poses(range(2, 5)), everything[2:5])
        assert np.array_equal(posing.poses([4, 1]), everything[[4, 1]])


def test_drawn_poses_are_shown_to_the_model_as_they_are(
    image: Frames, dancer: Path, tmp_path: Path, make_recipe: MakeRecipe, finder: PersonFinder
) -> None:
    keypoints = read_annotation(dancer.with_suffix(".npz"), 384, 256)[:3]
    drawn = tmp_path / "drawn.mp4"
    write_video(drawn, draw_poses(keypoints, 64, 64), 12)
    motion = read_motion(drawn, make_recipe("animate.driving=pose").animate, finder)
    posing = bring_together(image, motion, make_recipe(), finder)
    assert np.array_equal(posing.poses(range(3)), read_frames(drawn)[0])


def test_drawn_poses_of_a_long_clip_are_read_once_while_it_is_gone_through(
    image: Frames,
    dancer: Path,
    tmp_path: Path,
    make_recipe: MakeRecipe,
    finder: PersonFinder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = tmp_path / "drawn.mp4"
    write_video(drawn, draw_poses(read_annotation(dancer.with_suffix(".npz"), 384, 256), 64, 64), 8)
    recipe = make_recipe("animate.driving=pose", "animate.num_frames=24")
    motion = read_motion(drawn, recipe.animate, finder)
    posing = bring_together(image, motion, recipe, finder)
    expected, opened, read = read_frames(drawn)[0], av.open, Decoder.frame
    openings, numbers = [], []

    def open_and_count(*arguments: str, **options: object) -> object:
        openings.append(arguments)
        return opened(*arguments, **options)

    def read_and_count(decoder: Decoder, number: int) -> Frames:
        numbers.append(number)
        return read(decoder, number)

    monkeypatch.setattr(av, "open", open_and_count)
    monkeypatch.setattr(Decoder, "frame", read_and_count)
    for window in plan_windows(24, 8, 4):
        assert np.array_equal(posing.poses(window), expected[window.start : window.stop])
    assert len(openings) <= 2  # to read its times, and to decode it
    assert numbers == [0, *range(24)]  # the first one tells the size
    assert np.array_equal(posing.poses(range(8)), expected[:8])  # the next step begins anew


def test_a_picture_without_a_person_is_refused(
    motion: Motion, make_recipe: MakeRecipe, finder: PersonFinder
) -> None:
    grey = np.full((96, 64, 3), 128, np.uint8)
    with pytest.raises(InputError, match="reference picture must show a person"):
        bring_together(grey, motion, make_recipe(), finder)


def test_keypoints_alone_are_fitted_as_those_of_their_video(
    image: Frames, motion: Motion, make_recipe: MakeRecipe, finder: PersonFinder
) -> None:
    alone = Motion("keypoints", Fraction(12), motion.size, motion.indices, None, motion.keypoints)
    both = [bring_together(image, one, make_recipe(), finder) for one in (motion, alone)]
    assert np.array_equal(both[0].poses(range(3)), both[1].poses(range(3)))


def test_only_a_squeezed_frame_is_unsqueezed() -> None:
    image = np.zeros((300, 200, 3), np.uint8)
    assert shown_size(image, (192, 100), "squash") == (192, 128)
    assert shown_size(image, (192, 100), "crop") == (192, 100)
    assert shown_size(np.zeros((900, 1, 3), np.uint8), (192, 128), "squash") == (192, 2)
