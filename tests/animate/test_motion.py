import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.animate.driving import FRAMES_PER_SECOND
from dancelcm_cli.animate.keypoint_files import write_keypoints
from dancelcm_cli.animate.motion import Motion, read_motion
from dancelcm_cli.animate.people import Found, Keypoints, PersonFinder
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.video import read_frames, write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_poses
from dancelcm_cli.perception.keypoints import BODY, read_annotation

MakeRecipe = Callable[..., Recipe]
Read = Callable[..., Motion]


class NoFinder(PersonFinder):
    """Must not be asked."""

    def in_clip(self, *arguments: object) -> Found:
        raise AssertionError("nothing is to be detected")


@pytest.fixture
def read(make_recipe: MakeRecipe, finder: PersonFinder) -> Read:
    """Return a function that reads a motion under overrides of the animate section."""

    def read(driving: Path, *overrides: str) -> Motion:
        recipe = make_recipe(*(f"animate.{override}" for override in overrides))
        return read_motion(driving, recipe.animate, finder)

    return read


@pytest.fixture
def read_only(make_recipe: MakeRecipe) -> Read:
    """Return the same where nobody may be looked for."""

    def read(driving: Path, *overrides: str) -> Motion:
        recipe = make_recipe(*(f"animate.{override}" for override in overrides))
        return read_motion(driving, recipe.animate, NoFinder("auto"))

    return read


@pytest.fixture
def bare_dancer(tmp_path: Path, dancer: Path) -> Path:
    """The dancer without keypoints beside it."""
    return Path(shutil.copy(dancer, tmp_path / "bare.mp4"))


@pytest.fixture
def exact(dancer: Path) -> Keypoints:
    return read_annotation(dancer.with_suffix(".npz"), 384, 256)


def write_pictures(folder: Path, frames: Frames) -> Path:
    folder.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:03d}.png")
    return folder


def all_frames(motion: Motion) -> Frames:
    return np.stack(list(motion.frames(range(motion.num_frames))))


def test_keypoints_beside_a_video_are_taken_as_they_are(
    dancer: Path, read_only: Read, exact: Keypoints
) -> None:
    motion = read_only(dancer)
    assert motion.kind == "keypoints"
    assert np.array_equal(motion.keypoints, exact[:3])
    assert (motion.num_frames, motion.fps, motion.size) == (3, 12.0, (384, 256))


def test_a_stride_skips_frames_and_slows_the_rate(
    dancer: Path, read: Read, exact: Keypoints
) -> None:
    motion = read(dancer, "frame_stride=5", "num_frames=0")
    assert np.array_equal(motion.keypoints, exact[::5])
    assert motion.fps == Fraction(12, 5)
    assert np.array_equal(all_frames(motion), read_frames(dancer, range(0, 24, 5))[0])
    assert motion.seconds == pytest.approx(5 / 2.4)


def test_a_rate_of_its_own_takes_the_frames_of_those_moments(
    dancer: Path, read: Read, exact: Keypoints
) -> None:
    motion = read(dancer, "fps=4", "num_frames=0")
    assert np.array_equal(motion.keypoints, exact[::3])
    assert motion.fps == 4


def test_exactly_the_frames_that_are_asked_for_are_taken(
    dancer: Path, make_recipe: MakeRecipe, exact: Keypoints
) -> None:
    config = make_recipe("animate.max_frames=1", "animate.num_frames=0").animate
    motion = read_motion(dancer, config, NoFinder("auto"), indices=range(0, 24, 7))
    assert np.array_equal(motion.keypoints, exact[::7])


def test_a_person_is_detected_near_the_exact_keypoints(
    bare_dancer: Path, read: Read, exact: Keypoints
) -> None:
    motion = read(bare_dancer)
    assert (motion.kind, motion.people) == ("person", 1)
    assert motion.keypoints is not None
    seen = exact[:3, BODY, 2] == 1
    distances = np.abs(motion.keypoints - exact[:3])[:, BODY, :2][seen]
    assert np.median(distances) < 0.03


def test_a_person_can_be_asked_for_in_spite_of_keypoints(dancer: Path, read: Read) -> None:
    motion = read(dancer, "driving=person", "num_frames=1")
    assert (motion.kind, motion.num_frames) == ("person", 1)


def test_drawn_poses_are_recognised_and_taken_as_pictures(
    tmp_path: Path, read_only: Read, exact: Keypoints
) -> None:
    video = tmp_path / "poses.mp4"
    write_video(video, draw_poses(exact[:4], 192, 128), 25)
    motion = read_only(video)
    assert (motion.kind, motion.keypoints) == ("pose", None)
    assert np.array_equal(all_frames(motion), read_frames(video)[0][:3])
    assert (motion.num_frames, motion.fps, motion.size) == (3, 25.0, (192, 128))


def test_any_video_is_taken_as_poses_if_asked_to(bare_dancer: Path, read_only: Read) -> None:
    assert read_only(bare_dancer, "driving=pose").kind == "pose"


def test_a_folder_of_pictures_has_the_rate_that_is_told(
    tmp_path: Path, dancer: Path, read_only: Read
) -> None:
    frames = read_frames(dancer, range(4))[0]
    folder = write_pictures(tmp_path / "frames", frames)
    motion = read_only(folder, "driving=pose", "frame_stride=2", "num_frames=0")
    assert np.array_equal(all_frames(motion), frames[::2])
    assert motion.fps == FRAMES_PER_SECOND / 2
    faster = read_only(folder, "driving=pose", "fps=30", "num_frames=0")
    assert (faster.num_frames, faster.fps) == (4, 30)


def test_a_person_is_found_in_a_folder_of_pictures(
    tmp_path: Path, dancer: Path, read: Read
) -> None:
    folder = write_pictures(tmp_path / "frames", read_frames(dancer, range(2))[0])
    shutil.copy(dancer.with_suffix(".npz"), tmp_path / "frames.npz")  # keypoints of no video
    assert read(folder).kind == "person"


def test_a_folder_without_pictures_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match="must hold pictures, got none"):
        read(tmp_path)


def test_a_video_that_is_missing_or_none_is_refused(tmp_path: Path, read: Read) -> None:
    for name in ("missing.mp4", "missing.npz"):
        with pytest.raises(InputError, match="does not exist"):
            read(tmp_path / name)
    (tmp_path / "text.mp4").write_text("no video" * 100)
    with pytest.raises(InputError, match="can be decoded"):
        read(tmp_path / "text.mp4")


def test_asking_for_keypoints_needs_a_file_of_them(bare_dancer: Path, read: Read) -> None:
    with pytest.raises(InputError, match="keypoints beside it") as caught:
        read(bare_dancer, "driving=keypoints")
    assert "--driving keypoints" in caught.value.hint


def test_keypoints_of_too_few_frames_are_refused(
    dancer: Path, bare_dancer: Path, read: Read
) -> None:
    with np.load(dancer.with_suffix(".npz")) as arrays:
        cut = {name: arrays[name][:2] for name in ("keypoints", "visible")}
    np.savez(bare_dancer.with_suffix(".npz"), **cut)
    assert read(bare_dancer, "num_frames=2").num_frames == 2
    with pytest.raises(InputError, match="at least 3 frames, got 2"):
        read(bare_dancer)


def test_a_keypoint_file_is_a_dance_of_its_own(
    tmp_path: Path, read_only: Read, exact: Keypoints
) -> None:
    path = tmp_path / "dance.npz"
    write_keypoints(path, exact, Fraction(12), (384, 256))
    motion = read_only(path, "num_frames=0", "frame_stride=2")
    assert np.array_equal(motion.keypoints, exact[::2])
    assert (motion.kind, motion.fps, motion.size) == ("keypoints", 6, (384, 256))
    assert not all_frames(motion).any()  # there is nothing to see
    with pytest.raises(InputError, match="must be driven by its keypoints"):
        read_only(path, "driving=person")


def test_a_keypoint_file_without_a_rate_needs_to_be_told_one(
    tmp_path: Path, read_only: Read, exact: Keypoints
) -> None:
    path = tmp_path / "dance.npz"
    np.savez(path, keypoints=exact, size=np.array([384, 256]))
    assert read_only(path, "fps=30", "num_frames=0").fps == 30
    with pytest.raises(InputError, match="must tell its frame rate") as caught:
        read_only(path)
    assert "--fps 30" in caught.value.hint


def test_saved_keypoints_beside_a_video_of_another_rate_are_refused(
    bare_dancer: Path, read_only: Read, exact: Keypoints
) -> None:
    beside = bare_dancer.with_suffix(".npz")
    write_keypoints(beside, exact, Fraction(12), (384, 256))
    assert np.array_equal(read_only(bare_dancer).keypoints, exact[:3])
    write_keypoints(beside, exact[::2], Fraction(6), (384, 256))
    with pytest.raises(InputError, match="must be of 12 frames/s as its video, got 6"):
        read_only(bare_dancer)


def test_a_video_without_a_person_is_refused(tmp_path: Path, read: Read) -> None:
    video = tmp_path / "grey.mp4"
    write_video(video, np.full((2, 64, 48, 3), 128, np.uint8), 12)
    with pytest.raises(InputError, match="must show a person") as caught:
        read(video)
    assert "--driving pose" in caught.value.hint
