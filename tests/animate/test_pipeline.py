import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.animate.pipeline import Animation, animate
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.pipeline import DancePipeline, load_pipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.data.video import probe_video, read_frames
from dancelcm_cli.errors import DanceLCMError, InputError
from dancelcm_cli.progress import SilentProgress

MakeRecipe = Callable[..., Recipe]
Run = Callable[..., Animation]


class Listener(SilentProgress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def run(photo: Path, dancer: Path, model: Path, make_recipe: MakeRecipe, tmp_path: Path) -> Run:
    """Return a function that animates the sample photo into `tmp_path`."""

    def run(
        output: str = "out/dance.mp4",
        *overrides: str,
        reference: Path = photo,
        driving: Path = dancer,
        model: Path = model,
        progress: Listener | None = None,
        overwrite: bool = False,
        compare: bool = False,
    ) -> Animation:
        return animate(
            reference,
            driving,
            tmp_path / output,
            model,
            make_recipe(*overrides),
            progress or Listener(),
            overwrite=overwrite,
            compare=compare,
        )

    return run


def test_the_video_has_the_driving_rate_the_asked_length_and_the_photos_shape(run: Run) -> None:
    info = probe_video(run().video)
    assert (info.num_frames, info.fps) == (3, 12)
    assert info.height == 64
    assert info.width / info.height == pytest.approx(256 / 384, abs=0.02)


def test_a_stride_slows_the_rate_so_that_the_dance_keeps_its_speed(run: Run) -> None:
    info = probe_video(run("dance.mp4", "animate.frame_stride=2", "animate.num_frames=2").video)
    assert (info.num_frames, info.fps) == (2, 6)


def test_without_a_squeeze_the_frames_are_shown_at_the_models_shape(run: Run) -> None:
    info = probe_video(run("dance.mp4", "preprocess.fit=crop").video)
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
    recipe = load_recipe(tmp_path / "again.toml")
    again = animate(
        Path(record["reference"]),
        Path(record["driving"]),
        tmp_path / "again.mp4",
        Path(record["model"]),
        recipe,
        SilentProgress(),
    )
    assert np.array_equal(read_frames(again.video)[0], read_frames(animation.video)[0])


def test_a_comparison_shows_photo_pose_and_result_side_by_side(run: Run, tmp_path: Path) -> None:
    video = run("dance.mp4", compare=True).video
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
        run("dance.mp4", compare=True)
    assert "--overwrite" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "precious"
    run("dance.mp4", compare=True, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / existing).read_bytes() != b"precious"


def test_the_output_is_an_mp4(run: Run) -> None:
    with pytest.raises(InputError, match=r"must be an \.mp4 file, got .*dance\.gif") as caught:
        run("dance.gif")
    assert caught.value.hint.endswith("dance.mp4")


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
