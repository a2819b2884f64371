import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.animate.motion import FRAMES_PER_SECOND, Keypoints, Motion, read_motion
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.video import read_frames, write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_poses
from dancelcm_cli.perception.keypoints import BODY, PoseDetector, read_annotation

MakeRecipe = Callable[..., Recipe]
Read = Callable[..., Motion]


@pytest.fixture
def read(make_recipe: MakeRecipe, detector: PoseDetector) -> Read:
    """Return a function that reads a motion under overrides of the animate section."""

    def read(driving: Path, *overrides: str) -> Motion:
        recipe = make_recipe(*(f"animate.{override}" for override in overrides))
        return read_motion(driving, recipe.animate, detector.detect)

    return read


@pytest.fixture
def bare_dancer(tmp_path: Path, dancer: Path) -> Path:
    """The dancer without keypoints beside it."""
    return Path(shutil.copy(dancer, tmp_path / "bare.mp4"))


def write_pictures(folder: Path, frames: Frames) -> Path:
    folder.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:03d}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def no_detection(frames: Frames) -> Keypoints:
    raise AssertionError("nothing is to be detected")


def test_keypoints_beside_a_video_are_taken_as_they_are(
    dancer: Path, make_recipe: MakeRecipe
) -> None:
    motion = read_motion(dancer, make_recipe().animate, no_detection)
    exact = read_annotation(dancer.with_suffix(".npz"), 384, 256)
    assert motion.kind == "keypoints"
    assert np.array_equal(motion.keypoints, exact[:3])
    assert (motion.num_frames, motion.fps, motion.size) == (3, 12.0, (384, 256))


def test_a_stride_skips_frames_and_slows_the_rate(dancer: Path, read: Read) -> None:
    motion = read(dancer, "frame_stride=5", "num_frames=100")
    exact = read_annotation(dancer.with_suffix(".npz"), 384, 256)
    assert np.array_equal(motion.keypoints, exact[::5])
    assert motion.fps == pytest.approx(12 / 5)


def test_a_person_is_detected_near_the_exact_keypoints(
    dancer: Path, bare_dancer: Path, read: Read
) -> None:
    motion = read(bare_dancer)
    assert motion.kind == "person"
    exact = read_annotation(dancer.with_suffix(".npz"), 384, 256)[:3, BODY]
    seen = exact[..., 2] == 1
    distances = np.abs(motion.keypoints[:, BODY, :2] - exact[..., :2])[seen]
    assert np.median(distances) < 0.03


def test_a_person_can_be_asked_for_in_spite_of_keypoints(dancer: Path, read: Read) -> None:
    motion = read(dancer, "driving=person", "num_frames=1")
    assert motion.kind == "person"
    assert motion.num_frames == 1


def test_drawn_poses_are_recognised_and_taken_as_pictures(
    tmp_path: Path, dancer: Path, make_recipe: MakeRecipe
) -> None:
    keypoints = read_annotation(dancer.with_suffix(".npz"), 384, 256)[:4]
    video = tmp_path / "poses.mp4"
    write_video(video, draw_poses(keypoints, 192, 128), 25)
    motion = read_motion(video, make_recipe().animate, no_detection)
    assert (motion.kind, motion.keypoints) == ("pose", None)
    assert np.array_equal(motion.pictures, read_frames(video)[0][:3])
    assert (motion.num_frames, motion.fps, motion.size) == (3, 25.0, (192, 128))


def test_any_video_is_taken_as_poses_if_asked_to(
    bare_dancer: Path, make_recipe: MakeRecipe
) -> None:
    motion = read_motion(bare_dancer, make_recipe("animate.driving=pose").animate, no_detection)
    assert motion.kind == "pose"


def test_a_folder_of_pictures_is_a_clip_in_order_of_the_names(
    tmp_path: Path, dancer: Path, make_recipe: MakeRecipe
) -> None:
    frames = read_frames(dancer, range(4))[0]
    folder = write_pictures(tmp_path / "frames", frames)
    settings = make_recipe("animate.driving=pose", "animate.frame_stride=2").animate
    motion = read_motion(folder, settings, no_detection)
    assert np.array_equal(motion.pictures, frames[::2])
    assert motion.fps == FRAMES_PER_SECOND / 2


def test_a_person_is_found_in_a_folder_of_pictures(
    tmp_path: Path, dancer: Path, read: Read
) -> None:
    folder = write_pictures(tmp_path / "frames", read_frames(dancer, [0])[0])
    shutil.copy(dancer.with_suffix(".npz"), tmp_path / "frames.npz")  # keypoints of no video
    assert read(folder).kind == "person"


def test_pictures_of_several_sizes_are_refused(tmp_path: Path, dancer: Path, read: Read) -> None:
    folder = write_pictures(tmp_path / "frames", read_frames(dancer, range(2))[0])
    Image.new("RGB", (64, 32)).save(folder / "999.png")
    with pytest.raises(InputError, match="one size, got 256 x 384, 64 x 32"):
        read(folder)


def test_a_folder_without_pictures_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match="holds no picture"):
        read(tmp_path)


def test_a_video_that_is_missing_or_none_is_refused(tmp_path: Path, read: Read) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "missing.mp4")
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


def test_a_video_without_a_person_is_refused(tmp_path: Path, read: Read) -> None:
    video = tmp_path / "grey.mp4"
    write_video(video, np.full((2, 64, 48, 3), 128, np.uint8), 12)
    with pytest.raises(InputError, match="must show a person") as caught:
        read(video)
    assert "--driving pose" in caught.value.hint
