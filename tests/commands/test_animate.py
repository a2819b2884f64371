from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from dancelcm_cli.animate.unfinished import RenderWatch
from dancelcm_cli.app import app, main
from dancelcm_cli.commands.animate import _default_output
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.clip_predictor import Denoising
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import probe_video, read_frames, write_video

PHOTO, DANCE = bundled("samples/reference.png"), bundled("samples/driving.mp4")
Run = Callable[..., int]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of an untrained student of two segments."""
    recipe, folder = load_recipe("smoke"), tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    vae = PatchAutoencoder(
        latent_channels=4, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    unet = DanceUNet.from_network(recipe.network, 4)
    scheduler = make_scheduler(recipe.schedule)
    DancePipeline(unet, vae, scheduler, num_segments=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def pose_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DANCELCM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def run(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command in `tmp_path` and returns its exit code."""
    monkeypatch.chdir(tmp_path)
    fixed = ["--recipe", "smoke", "--device", "cpu", "--model", str(model)]

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as stop:
            main(lambda: app(["animate", *map(str, arguments), *fixed]))
        return int(str(stop.value.code or 0))

    return run


def write_inputs(folder: Path) -> None:
    """Write everything that cannot be animated."""
    grey = np.full((2, 96, 64, 3), 128, np.uint8)
    Image.fromarray(grey[0]).save(folder / "nobody.png")
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    write_video(folder / "nobody.mp4", grey, 12)
    write_video(folder / "still.mp4", grey[:1], 12)
    image, frames = np.asarray(Image.open(PHOTO).convert("RGB")), read_frames(DANCE, range(2))[0]
    Image.fromarray(np.concatenate([image, image], axis=1)).save(folder / "pair.png")
    write_video(folder / "pair.mp4", np.concatenate([frames] * 2, axis=2), 12)
    (folder / "taken.mp4").write_text("precious")
    (folder / "file").write_text("no folder")


@pytest.mark.parametrize(
    ("arguments", "complaint", "hint"),
    [
        (["nobody.png", DANCE], "picture must show a person", "one whole person"),
        ([PHOTO, "nobody.mp4"], "nobody.mp4 must show a person", "--driving pose"),
        ([PHOTO, "still.mp4"], "at least 2 frames, got 1", "video"),
        (["pair.png", DANCE], "pair.png must show one person, but 2 are seen", "--several largest"),
        ([PHOTO, "pair.mp4"], "pair.mp4 must show one person, but 2 are seen", "--several largest"),
        ([PHOTO, "still.mp4", "--driving", "pose"], "at least 2 frames, got 1", "somebody moves"),
        (["huge.png", DANCE], "at most 89 million pixels", "Scale the picture down"),
        ([PHOTO, "missing.mp4"], "does not exist", "spelling"),
        ([PHOTO, DANCE, "--frames", 0, "--max-frames", 9], "at most 9 frames, got 24", "--frames"),
        ([PHOTO, DANCE, "--steps", 0], "animate.steps must be at least 1, got 0", "--set"),
        ([PHOTO, DANCE, "--steps", -4], "animate.steps must be at least 1, got -4", "--set"),
        ([PHOTO, DANCE, "--steps", 51], "from 1 to 50, got 51", "--steps 4"),
        ([PHOTO, DANCE, "--frames", -1], "animate.num_frames must be at least 0", "--set"),
        ([PHOTO, DANCE, "--stride", 0], "animate.frame_stride must be at least 1", "--set"),
        ([PHOTO, DANCE, "--fps", 60], "--fps must be at most 12", "driving clip's rate"),
        ([PHOTO, DANCE, "--set", "preprocess.height=60"], "must be multiples of 16", "--set"),
        ([PHOTO, DANCE, "-o", "taken.mp4"], "must not exist already", "--overwrite"),
        ([PHOTO, DANCE, "-o", "file/me.mp4"], "where it can be written", "--output"),
        ([PHOTO, DANCE, "-o", "me.mov"], "must be an .mp4 file", "--output me.mp4"),
        ([PHOTO, DANCE, "-o", "me.mp4", "--format", "gif"], "must be a .gif", "--output me.gif"),
        ([PHOTO], "must be given", "dancelcm animate photo.jpg dance.mp4"),
        ([PHOTO, "--batch", "jobs.csv"], "must come without", "table"),
        (["--batch", "jobs.csv", "--preview"], "must come without", "table"),
        (["--batch", "missing.csv"], "must be a CSV file", "spelling"),
    ],
)
def test_what_cannot_be_animated_is_told_in_a_sentence_with_a_hint(
    run: Run, tmp_path: Path, capsys: Capture, arguments: list[object], complaint: str, hint: str
) -> None:
    write_inputs(tmp_path)
    before = set(tmp_path.iterdir())
    assert run(*arguments) == 2
    error, advice = capsys.readouterr().err.split("error: ")[1].split("hint: ")
    assert complaint in " ".join(error.split())
    assert hint in " ".join(advice.split())
    assert set(tmp_path.iterdir()) == before
    assert (tmp_path / "taken.mp4").read_text() == "precious"


def test_a_video_of_ten_hours_is_refused_before_it_is_looked_at(
    run: Run, tmp_path: Path, capsys: Capture
) -> None:
    black = ("-f", "lavfi", "-i", "color=black:size=32x32:rate=1:duration=36000")
    quick = ("-preset", "ultrafast", str(tmp_path / "long.mp4"))
    subprocess.run([get_ffmpeg_exe(), "-v", "error", *black, *quick], check=True)
    assert run(PHOTO, "long.mp4", "--frames", 0) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "long.mp4 must make at most 10,000 frames, got 36,000" in error
    assert "--frames 300" in error and "--max-frames 36000" in error


def test_the_result_is_named_after_its_inputs(run: Run, tmp_path: Path, capsys: Capture) -> None:
    assert run(PHOTO, DANCE, "--frames", 2, "--format", "webm") == 0
    assert probe_video(tmp_path / "reference-driving.webm").num_frames == 2
    assert "reference-driving.webm" in capsys.readouterr().out
    assert run(PHOTO, DANCE, "--frames", 2, "--format", "png", "--overwrite") == 0
    assert (tmp_path / "reference-driving" / "000001.png").exists()


def test_an_interruption_says_how_to_go_on_and_the_same_command_does(
    run: Run, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [str(PHOTO), str(DANCE), "--frames", "14", "-o", "me with spaces.mp4"]
    monkeypatch.setattr("sys.argv", ["dancelcm", "animate", *command])
    hear = RenderWatch.__call__

    def press_and_hear(watch: RenderWatch, denoising: Denoising) -> None:
        signal.raise_signal(signal.SIGINT)
        hear(watch, denoising)

    with monkeypatch.context() as patch:
        patch.setattr(RenderWatch, "__call__", press_and_hear)
        assert run(*command) == 130
    said = " ".join(capsys.readouterr().err.split())
    assert "Stopped after 1 of 5 network calls" in said
    assert "Go on with: dancelcm animate" in said and "'me with spaces.mp4'" in said
    assert [path.name for path in tmp_path.iterdir()] == ["me with spaces-unfinished.safetensors"]
    assert run(*command) == 0
    assert "Going on" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {
        "me with spaces.mp4",
        "me with spaces.json",
    }


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(
    run: Run, tmp_path: Path, capsys: Capture
) -> None:
    assert run(PHOTO, DANCE, "--frames", 14, "--dry-run") == 0
    told = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert {name: told[name].strip() for name in ("frames", "windows", "network calls")} == {
        "frames": "14",
        "windows": "2",
        "network calls": "5",
    }
    assert told["peak memory"].endswith("GiB")
    assert not list(tmp_path.iterdir())


def test_a_draft_is_half_the_size(run: Run, tmp_path: Path) -> None:
    assert run(PHOTO, DANCE, "--draft", "--frames", 2, "-o", "me.mp4") == 0
    assert probe_video(tmp_path / "me.mp4").height == 32
    assert json.loads((tmp_path / "me.json").read_text())["steps"] == 2


def test_a_preview_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["animate", PHOTO, DANCE, "--preview", "--model", "missing"]
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(list(map(str, arguments))))
    assert not stop.value.code
    assert [path.name for path in tmp_path.iterdir()] == ["reference-driving-align.png"]


def test_a_batch_says_what_became_of_each_job(run: Run, tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "jobs.csv"
    row = f"{PHOTO},{DANCE}"
    table.write_text(f"reference,driving,output,seed\n{row},a.mp4,1\nmissing.png,{DANCE},b.mp4,\n")
    flags = ("--batch", table, "--frames", 2, "--output", "results")
    assert run(*flags) == 5
    shown = capsys.readouterr()
    assert "done" in shown.out and "missing.png must be a picture" in shown.out
    assert "1 of 2 failed" in shown.err and "same command again" in shown.err
    assert json.loads((tmp_path / "results" / "a.json").read_text())["seed"] == 1
    assert run(*flags) == 5
    assert "skipped" in capsys.readouterr().out
    table.write_text(f"reference,driving,output\nmissing.png,{DANCE},b.mp4\n")
    assert run(*flags) == 2
    table.write_text(f"reference,driving,output,seed\n{row},a.mp4,1\n")
    assert run(*flags) == 0


def test_a_folder_of_frames_that_the_user_is_in_names_the_animation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "waltz").mkdir()
    monkeypatch.chdir(tmp_path / "waltz")
    assert _default_output(Path("ann.jpg"), Path("."), None) == Path("ann-waltz.mp4")
