import logging
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from dancelcm_cli.animate.animator import Animator, Rendering
from dancelcm_cli.animate.motion import Motion, read_motion
from dancelcm_cli.animate.outputs import write_animation
from dancelcm_cli.animate.people import Keypoints
from dancelcm_cli.animate.prediction import predict_frames
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.images import read_image
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.perception.keypoints import read_annotation

MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module")
def animator(model: Path, make_recipe: MakeRecipe) -> Animator:
    return Animator(model, make_recipe())


@pytest.fixture
def motion(animator: Animator, dancer: Path) -> Motion:
    return read_motion(dancer, animator.recipe.animate, animator.finder)


@pytest.fixture
def image(photo: Path) -> Frames:
    return read_image(photo)


def test_a_picture_becomes_as_many_frames_as_the_motion_has(
    animator: Animator, image: Frames, motion: Motion
) -> None:
    calls: list[int] = []
    rendering = animator.render(image, motion, lambda denoising: calls.append(denoising.steps))
    assert rendering.frames.shape == rendering.poses.shape == (3, 64, 64, 3)
    assert rendering.frames.dtype == np.uint8
    assert rendering.frames.std() > 1
    assert rendering.has_face
    assert calls == [1, 2]


def test_the_same_seed_gives_the_same_frames_and_another_gives_others(
    model: Path, make_recipe: MakeRecipe, image: Frames, motion: Motion, animator: Animator
) -> None:
    first, again = (animator.render(image, motion).frames for _ in range(2))
    other = Animator(model, make_recipe("seed=1")).render(image, motion).frames
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_animator_under_another_recipe_is_a_new_one_with_the_same_networks(
    model: Path, make_recipe: MakeRecipe, image: Frames, motion: Motion, animator: Animator
) -> None:
    recipe = make_recipe("seed=1", "animate.steps=3", "preprocess.height=96")
    shared, fresh = animator.with_recipe(recipe), Animator(model, recipe)
    expected = fresh.render(image, motion)
    assert np.array_equal(shared.render(image, motion).frames, expected.frames)
    assert animator.recipe == make_recipe() and animator.size == (64, 64)


@pytest.mark.parametrize("steps", [51, 1000])
def test_more_steps_than_were_trained_are_refused_before_any_work(
    model: Path, make_recipe: MakeRecipe, animator: Animator, steps: int
) -> None:
    recipe = make_recipe(f"animate.steps={steps}")
    for load in (lambda: Animator(model, recipe), lambda: animator.with_recipe(recipe)):
        with pytest.raises(ConfigError, match=f"from 1 to 50, got {steps}") as caught:
            load()
        assert "--steps" in caught.value.hint


def test_fewer_steps_than_segments_are_warned_of_once(
    model: Path,
    make_recipe: MakeRecipe,
    image: Frames,
    motion: Motion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, logger="dancelcm_cli"):
        animator = Animator(model, make_recipe("animate.steps=1"))
        for _ in range(2):
            animator.render(image, motion)
    (record,) = caplog.records
    assert "Fewer steps (1) than the student has segments (2)" in record.getMessage()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_gives_nearly_the_same_frames(
    model: Path,
    make_recipe: MakeRecipe,
    image: Frames,
    motion: Motion,
    animator: Animator,
    precision: str,
) -> None:
    halved = Animator(model, make_recipe(f"animate.precision={precision}")).render(image, motion)
    exact = animator.render(image, motion)
    difference = np.abs(halved.frames.astype(int) - exact.frames)
    assert 0 < difference.mean() < 3  # levels of 255


def test_frames_do_not_depend_on_how_many_are_decoded_at_once(
    make_recipe: MakeRecipe, image: Frames, motion: Motion, animator: Animator
) -> None:
    one_by_one = animator.with_recipe(make_recipe("animate.decode_chunk=1")).render(image, motion)
    together = animator.render(image, motion)
    assert np.abs(one_by_one.frames.astype(int) - together.frames).max() <= 1


def test_a_film_that_is_decoded_ahead_is_the_same_to_the_byte(
    make_recipe: MakeRecipe, image: Frames, motion: Motion, animator: Animator, tmp_path: Path
) -> None:
    animator = animator.with_recipe(make_recipe("animate.decode_chunk=2"))
    rendering = animator.render(image, motion)
    films = {"one after the other": animator.pipeline.decode(rendering.latents, 2)}
    films["ahead"] = rendering.film()
    for name, film in films.items():
        write_animation(tmp_path / f"{name}.mp4", "mp4", film, 3, Fraction(12), None, {})
    first, second = (path.read_bytes() for path in tmp_path.iterdir())
    assert first == second


def test_decoding_that_fails_or_is_no_longer_wanted_ends(
    image: Frames, motion: Motion, animator: Animator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rendering = threading.active_count(), animator.render(image, motion)
    film = rendering.film()
    next(film)
    assert threading.active_count() == before + 1
    film.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before

    def fail(codes: Tensor) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(animator.pipeline.vae, "decode", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        list(rendering.film())
    assert threading.active_count() == before


@pytest.mark.parametrize("prior", ["legacy", "consistent"])
def test_the_noise_prior_reaches_the_model(
    model: Path,
    make_recipe: MakeRecipe,
    image: Frames,
    motion: Motion,
    animator: Animator,
    prior: str,
) -> None:
    settings = (f"animate.noise_prior={prior}", "animate.prior_timestep=759")
    started = Animator(model, make_recipe(*settings)).render(image, motion).frames
    assert not np.array_equal(started, animator.render(image, motion).frames)
    with pytest.raises(ConfigError, match="trained at, got 760"):
        Animator(model, make_recipe(settings[0], "animate.prior_timestep=760"))


def test_the_temperature_reaches_the_model(
    model: Path, make_recipe: MakeRecipe, image: Frames, motion: Motion, animator: Animator
) -> None:
    cooler = Animator(model, make_recipe("animate.temperature=0.5")).render(image, motion).frames
    assert not np.array_equal(cooler, animator.render(image, motion).frames)


def test_a_prediction_knows_the_pose_of_its_picture_whichever_frame_that_is(
    model: Path,
    make_recipe: MakeRecipe,
    image: Frames,
    dancer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = read_annotation(dancer.with_suffix(".npz"), 384, 256)
    known: list[Keypoints] = []

    def render(self: Animator, *arguments: object, reference_keypoints: Keypoints) -> Rendering:
        known.append(reference_keypoints)
        raise InterruptedError

    monkeypatch.setattr(Animator, "render", render)
    animator = Animator(model, make_recipe("animate.frame_stride=2"))  # frames 0, 2 and 4
    for index in (0, 4, 3, 9):
        with pytest.raises(InterruptedError):
            predict_frames(animator, image, index, dancer, tmp_path)
        assert np.array_equal(known.pop(), exact[index])


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
