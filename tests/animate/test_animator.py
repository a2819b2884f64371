from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.motion import Motion, read_motion
from dancelcm_cli.animate.prediction import predict_frames
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.images import read_image
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_poses
from dancelcm_cli.perception.keypoints import read_annotation

MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module")
def animator(model: Path, make_recipe: MakeRecipe) -> Animator:
    return Animator(model, make_recipe())


@pytest.fixture
def motion(animator: Animator, dancer: Path) -> Motion:
    return read_motion(dancer, animator.recipe.animate, animator.detect)


@pytest.fixture
def image(photo: Path) -> Frames:
    return read_image(photo)


def test_a_picture_becomes_as_many_frames_as_the_motion_has(
    animator: Animator, image: Frames, motion: Motion
) -> None:
    calls: list[int] = []
    rendering = animator.render(image, motion, calls.append)
    assert rendering.frames.shape == rendering.poses.shape == (3, 64, 64, 3)
    assert rendering.frames.dtype == np.uint8
    assert rendering.frames.std() > 1
    assert rendering.has_face
    assert calls == [0, 1]


def test_the_same_seed_gives_the_same_frames_and_another_gives_others(
    model: Path, make_recipe: MakeRecipe, image: Frames, motion: Motion, animator: Animator
) -> None:
    first, again = (animator.render(image, motion).frames for _ in range(2))
    other = Animator(model, make_recipe("seed=1")).render(image, motion).frames
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_poses_of_the_pictures_own_clip_are_not_aligned(
    animator: Animator, image: Frames, motion: Motion
) -> None:
    assert motion.keypoints is not None
    rendering = animator.render(image, motion, reference_keypoints=motion.keypoints[0])
    assert np.array_equal(rendering.poses, draw_poses(motion.keypoints, 64, 64))


def test_poses_of_another_figure_are_aligned_unless_told_otherwise(
    model: Path, make_recipe: MakeRecipe, image: Frames, motion: Motion, animator: Animator
) -> None:
    raw = draw_poses(motion.keypoints, 64, 64)
    assert not np.array_equal(animator.render(image, motion).poses, raw)
    unaligned = Animator(model, make_recipe("animate.align=none"))
    assert np.array_equal(unaligned.render(image, motion).poses, raw)


def test_drawn_poses_are_shown_to_the_model_as_they_are(
    animator: Animator, image: Frames, dancer: Path
) -> None:
    keypoints = read_annotation(dancer.with_suffix(".npz"), 384, 256)[:2]
    pictures = draw_poses(keypoints, 64, 64)
    rendering = animator.render(image, Motion("pose", None, pictures, 12.0, (64, 64)))
    assert np.array_equal(rendering.poses, pictures)


def test_a_picture_without_a_person_is_refused(animator: Animator, motion: Motion) -> None:
    grey = np.full((96, 64, 3), 128, np.uint8)
    with pytest.raises(InputError, match="reference picture must show a person"):
        animator.render(grey, motion)


def test_predictions_are_the_rendered_frames_without_loss(
    animator: Animator, image: Frames, motion: Motion, dancer: Path, tmp_path: Path
) -> None:
    predict_frames(animator, image, 1, dancer, tmp_path)
    assert motion.keypoints is not None
    expected = animator.render(image, motion, reference_keypoints=motion.keypoints[1]).frames
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "000000.png",
        "000001.png",
        "000002.png",
    ]
    for path, frame in zip(sorted(tmp_path.iterdir()), expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), frame)
