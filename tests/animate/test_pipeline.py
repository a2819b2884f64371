import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.keypoint_files import read_keypoints
from dancelcm_cli.animate.outputs import Delivery
from dancelcm_cli.animate.pipeline import Animation, animate, preview
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.sound import find_sound
from dancelcm_cli.data.video import probe_video, read_frames, write_video
from dancelcm_cli.errors import DanceLCMError, InputError
from dancelcm_cli.progress import SilentProgress

MakeRecipe = Callable[..., Recipe]
MakeJob = Callable[..., Job]
Run = Callable[..., Animation]


class Listener(SilentProgress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def make_job(
    photo: Path, dancer: Path, model: Path, make_recipe: MakeRecipe, tmp_path: Path
) -> MakeJob:
    """Return a function that makes a job with its output in `tmp_path`."""

    def make_job(
        output: str = "out/dance.mp4",
        *overrides: str,
        reference: Path = photo,
        driving: Path = dancer,
        model: Path = model,
    ) -> Job:
        recipe = make_recipe(*overrides)
        return Job(reference, driving, tmp_path / output, Model(model), recipe)

    return make_job


@pytest.fixture
def run(make_job: MakeJob) -> Run:
    """Return a function that animates the sample photo into `tmp_path`."""

    def run(
        *arguments: str,
        progress: Listener | None = None,
        delivery: Delivery | None = None,
        **inputs: Path,
    ) -> Animation:
        job = make_job(*arguments, **inputs)

        def load() -> Animator:
            return Animator(job.model.path, job.recipe)

        return animate(job, delivery or Delivery(), load, progress or Listener())

    return run


@pytest.fixture
def sounding(tmp_path: Path, dancer: Path) -> Path:
    """The dancer with a tone, and the keypoints beside the video."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    shutil.copy(dancer.with_suffix(".npz"), folder / "sounding.npz")
    tone = ("-f", "lavfi", "-i", "sine=440:duration=2")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(dancer), *tone]
    subprocess.run([*command, "-c:v", "copy", str(folder / "sounding.mp4")], check=True)
    return folder / "sounding.mp4"


def test_the_video_has_the_driving_rate_the_asked_length_and_the_photos_shape(run: Run) -> None:
    info = probe_video(run().path)
    assert (info.num_frames, info.fps) == (3, 12)
    assert info.height == 64
    assert info.width / info.height == pytest.approx(256 / 384, abs=0.02)


def test_a_stride_slows_the_rate_so_that_the_dance_keeps_its_speed(run: Run) -> None:
    info = probe_video(run("dance.mp4", "animate.frame_stride=2", "animate.num_frames=2").path)
    assert (info.num_frames, info.fps) == (2, 6)


def test_without_a_squeeze_the_frames_are_shown_at_the_models_shape(run: Run) -> None:
    info = probe_video(run("dance.mp4", "preprocess.fit=crop").path)
    assert (info.height, info.width) == (64, 64)


def test_the_record_holds_what_it_takes_to_make_the_video_again(
    run: Run, model: Path, tmp_path: Path
) -> None:
    animation = run("dance.mp4", "seed=3")
    record = json.loads(animation.record.read_text())
    assert animation.record == tmp_path / "dance.json"
    assert record["model_sha256"] == folder_sha256(model)
    assert (record["seed"], record["steps"], record["frames"], record["fps"]) == (3, 2, 3, 12.0)
    assert (record["driving_kind"], record["face"]) == ("keypoints", True)
    (tmp_path / "again.toml").write_text(record["recipe"])
    inputs = (Path(record["reference"]), Path(record["driving"]), tmp_path / "again.mp4")
    job = Job(*inputs, Model(Path(record["model"])), load_recipe(tmp_path / "again.toml"))
    again = animate(job, Delivery(), lambda: Animator(job.model.path, job.recipe), SilentProgress())
    assert np.array_equal(read_frames(again.path)[0], read_frames(animation.path)[0])


def test_a_comparison_shows_photo_pose_and_result_side_by_side(run: Run, tmp_path: Path) -> None:
    video = run("dance.mp4", delivery=Delivery(compare=True)).path
    single, side_by_side = probe_video(video), probe_video(tmp_path / "dance-compare.mp4")
    assert side_by_side.width == 3 * single.width
    assert (side_by_side.height, side_by_side.num_frames) == (single.height, single.num_frames)


def test_the_user_is_told_where_no_face_is_used(run: Run, model: Path, tmp_path: Path) -> None:
    pipeline = load_pipeline(model)
    faceless = DanceUNet.from_network(load_recipe("smoke").network, 4)
    DancePipeline(faceless, pipeline.vae, pipeline.scheduler).save_pretrained(tmp_path / "model")
    with_face, without = Listener(), Listener()
    run("with.mp4", progress=with_face)
    animation = run("without.mp4", model=tmp_path / "model", progress=without)
    assert with_face.notes == []
    assert without.notes[0].startswith("No face is used")
    assert not json.loads(animation.record.read_text())["face"]


@pytest.mark.parametrize("existing", ["dance.mp4", "dance.json", "dance-compare.mp4"])
def test_nothing_is_replaced_unless_asked_to(run: Run, tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("precious")
    with pytest.raises(InputError, match=f"{existing} must not exist") as caught:
        run("dance.mp4", delivery=Delivery(compare=True))
    assert "--overwrite" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "precious"
    run("dance.mp4", delivery=Delivery(compare=True, overwrite=True))
    assert len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / existing).read_bytes() != b"precious"


@pytest.mark.parametrize("output", ["inputs/sounding.mp4", "inputs/../inputs/sounding.mp4"])
def test_an_input_is_never_replaced(run: Run, sounding: Path, output: str) -> None:
    before = sounding.read_bytes()
    with pytest.raises(InputError, match="must not be replaced by what is made of it"):
        run(output, driving=sounding, delivery=Delivery(overwrite=True))
    assert sounding.read_bytes() == before


def test_the_whole_dance_is_made_with_its_sound(run: Run, sounding: Path, tmp_path: Path) -> None:
    animation = run("dance.mp4", "animate.num_frames=0", driving=sounding)
    assert probe_video(animation.path).num_frames == 24
    for path in (sounding, animation.path):
        assert (sound := find_sound(path, 1.0)) is not None and sound.codec == "aac"
    assert json.loads(animation.record.read_text())["sound"] is True


@pytest.mark.parametrize(
    ("output", "delivery"),
    [
        ("dance.mp4", Delivery(audio=False)),
        ("dance.gif", Delivery()),
        ("dance", Delivery(format="png")),
    ],
)
def test_the_sound_stays_away_where_it_is_unwanted_or_impossible(
    run: Run, sounding: Path, output: str, delivery: Delivery
) -> None:
    animation = run(output, driving=sounding, delivery=delivery)
    assert json.loads(animation.record.read_text())["sound"] is False
    if animation.path.suffix == ".mp4":
        assert find_sound(animation.path, 1.0) is None


def test_frames_are_the_same_in_every_format(run: Run, tmp_path: Path) -> None:
    folder = run("frames", delivery=Delivery(format="png", compare=True)).path
    exact = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    assert len(list((tmp_path / "frames-compare").iterdir())) == len(exact) == 3
    for name in ("a.mp4", "b.webm"):
        shown = read_frames(run(name).path)[0].mean(axis=-1)
        likeness = np.corrcoef(shown.ravel(), exact.mean(axis=-1).ravel())[0, 1]
        assert likeness > 0.7  # an untrained model makes noise, whose colours are stored coarsely


def test_the_file_says_that_it_is_synthetic_and_how_it_was_made(run: Run, model: Path) -> None:
    animation = run("dance.mp4", "seed=3")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(animation.path)]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "synthetic media" in report
    assert f'"seed": 3, "steps": 2, "model_sha256": "{folder_sha256(model)}"' in report


def test_saved_keypoints_make_the_same_animation(run: Run, tmp_path: Path, dancer: Path) -> None:
    bare = Path(shutil.copy(dancer, tmp_path / "bare.mp4"))
    saved = tmp_path / "dance.npz"
    first = run("first.mp4", driving=bare, delivery=Delivery(save_keypoints=saved)).path
    assert read_keypoints(saved).size == (384, 256)
    again = run("again.mp4", "animate.num_frames=0", driving=saved).path
    assert np.array_equal(read_frames(first)[0], read_frames(again)[0])
    assert probe_video(again).fps == probe_video(first).fps
    with pytest.raises(InputError, match="must not exist already"):
        run("third.mp4", driving=bare, delivery=Delivery(save_keypoints=saved))


@pytest.mark.parametrize(
    ("name", "overrides", "complaint"),
    [
        ("dance.txt", (), r"must be an \.npz file"),
        ("..", (), r"must be an \.npz file"),
        ("dance.npz", ("animate.driving=pose",), "must show a person to save keypoints of"),
    ],
)
def test_keypoints_that_cannot_be_saved_are_refused(
    run: Run, tmp_path: Path, name: str, overrides: tuple[str, ...], complaint: str
) -> None:
    delivery = Delivery(save_keypoints=tmp_path / name)
    with pytest.raises(InputError, match=complaint) as caught:
        run("dance.mp4", *overrides, delivery=delivery)
    assert caught.value.hint
    assert not (tmp_path / name).is_file()


def test_a_preview_shows_the_fit_and_makes_no_animation(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("dance.webm", model=tmp_path / "no model is needed")
    sheet = preview(job, Delivery(), Listener())
    assert [path.name for path in tmp_path.iterdir()] == [sheet.name] == ["dance-align.png"]
    assert read_image(sheet).std() > 10
    with pytest.raises(InputError, match=r"dance-align\.png must not exist"):
        preview(job, Delivery(), Listener())
    preview(job, Delivery(overwrite=True), Listener())
    keeping = Delivery(overwrite=True, save_keypoints=tmp_path / "dance.npz")
    preview(job, keeping, Listener())
    assert not (tmp_path / "dance.npz").exists()


def test_several_people_are_refused_unless_the_largest_is_wanted(
    make_job: MakeJob, tmp_path: Path, photo: Path, dancer: Path
) -> None:
    image, frames = np.asarray(Image.open(photo).convert("RGB")), read_frames(dancer, range(3))[0]
    Image.fromarray(np.concatenate([image, image], axis=1)).save(tmp_path / "pair.png")
    write_video(tmp_path / "pair.mp4", np.concatenate([frames] * 2, axis=2), 12)
    alone, crowded = Listener(), Listener()
    preview(make_job("alone.mp4"), Delivery(), alone)
    inputs = {"reference": tmp_path / "pair.png", "driving": tmp_path / "pair.mp4"}
    for refused in inputs:
        one = {refused: inputs[refused]}
        with pytest.raises(InputError, match=f"{inputs[refused].name} must show one person") as no:
            preview(make_job("crowded.mp4", **one), Delivery(), crowded)
        assert "--several largest" in no.value.hint
    preview(make_job("crowded.mp4", "animate.several=largest", **inputs), Delivery(), crowded)
    assert alone.notes == []
    assert [note.split(":")[0] for note in crowded.notes] == [
        f"2 people are seen in {path}" for path in inputs.values()
    ]


@pytest.mark.parametrize("name", ["missing.mp4", "missing.npz", "nowhere", "text.mp4"])
def test_a_clip_that_cannot_be_opened_is_refused_before_the_model_is_loaded(
    make_job: MakeJob, tmp_path: Path, name: str
) -> None:
    (tmp_path / "text.mp4").write_text("no video" * 100)
    job = make_job(driving=tmp_path / name)
    with pytest.raises(InputError):
        animate(job, Delivery(), lambda: pytest.fail("needs no model"), Listener())


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("reference", "missing.png"),
        ("reference", "text.png"),
        ("reference", "grey.png"),
        ("driving", "missing.mp4"),
        ("driving", "text.png"),
        ("model", "missing"),
    ],
)
def test_a_failure_leaves_nothing_behind(
    run: Run, tmp_path: Path, argument: str, name: str
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    (inputs / "text.png").write_text("no picture")
    Image.new("RGB", (64, 96), "grey").save(inputs / "grey.png")
    with pytest.raises(DanceLCMError) as caught:
        run(**{argument: inputs / name})
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["inputs"]
