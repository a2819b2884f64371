from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("moderngl", reason='needs `pip install "dancelcm[danceset]"`')

from dancelcm_cli.app import app, main
from dancelcm_cli.config.schema import PreprocessConfig, Recipe
from dancelcm_cli.danceset.clip import render_scene
from dancelcm_cli.danceset.files import claim_folder, write_clip
from dancelcm_cli.danceset.pipeline import DanceSetSummary, render_danceset
from dancelcm_cli.danceset.renderer import Renderer
from dancelcm_cli.danceset.scene import draw_scene
from dancelcm_cli.danceset.settings import DanceSetSettings, parse_size
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.errors import ConfigError, InputError
from dancelcm_cli.perception.keypoints import HIDDEN_SCORE, read_annotation
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.progress import SilentProgress

HEIGHT, WIDTH = 96, 64
SETTINGS = DanceSetSettings(num_clips=3, seed=5, num_frames=3, height=HEIGHT, width=WIDTH)


def render(folder: Path, settings: DanceSetSettings = SETTINGS) -> DanceSetSummary:
    return render_danceset(folder, settings, SilentProgress())


def clips_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("0*"))}


@pytest.fixture(scope="module")
def danceset(renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("danceset")
    assert render(folder).rendered == 3
    return folder


@pytest.mark.slow
def test_annotations_read_back_as_they_were_rendered(danceset: Path) -> None:
    clip = render_scene(draw_scene(5, 0, 3, (HEIGHT, WIDTH)), Renderer(HEIGHT, WIDTH))
    keypoints = read_annotation(danceset / "00000.npz", HEIGHT, WIDTH)
    assert np.allclose(keypoints[..., :2] * (WIDTH, HEIGHT), clip.keypoints, atol=1e-3)
    assert np.array_equal(keypoints[..., 2] == 1, clip.visible)
    assert set(np.unique(keypoints[..., 2])) <= {0, HIDDEN_SCORE, 1}


@pytest.mark.slow
def test_videos_show_the_rendered_frames(danceset: Path) -> None:
    clip = render_scene(draw_scene(5, 0, 3, (HEIGHT, WIDTH)), Renderer(HEIGHT, WIDTH))
    frames, info = read_frames(danceset / "00000.mp4")
    assert (info.num_frames, info.height, info.width, info.fps) == (3, HEIGHT, WIDTH, 12)
    assert np.abs(frames.astype(int) - clip.frames).mean() < 5


@pytest.mark.slow
def test_the_folder_says_what_made_it(danceset: Path) -> None:
    readme = (danceset / "README.md").read_text()
    assert "seed 5" in readme and "CC0 1.0" in readme
    assert '"renderer"' in (danceset / "danceset.json").read_text()
    with Image.open(danceset / "danceset.png") as sheet:
        assert sheet.size == (3 * 2 * 192, 288)


@pytest.mark.slow
def test_a_lost_clip_is_rendered_again_and_no_other(danceset: Path) -> None:
    before = clips_of(danceset)
    kept = (danceset / "00000.mp4").stat().st_mtime_ns
    (danceset / "00001.mp4").unlink()  # as a kill between annotation and video leaves it
    (danceset / ".tmp-0123456789ab.mp4").write_bytes(b"half")
    assert render(danceset).rendered == 1
    assert clips_of(danceset) == before
    assert (danceset / "00000.mp4").stat().st_mtime_ns == kept
    assert not list(danceset.glob(".tmp-*"))
    assert render(danceset).rendered == 0


@pytest.mark.slow
def test_parts_and_processes_make_the_same_set(danceset: Path, tmp_path: Path) -> None:
    render(tmp_path, replace(SETTINGS, first=2, num_clips=1))
    render(tmp_path, replace(SETTINGS, num_clips=2, workers=2))
    assert clips_of(tmp_path) == clips_of(danceset)


def test_a_folder_of_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("My holidays")
    (tmp_path / "00000.mp4").write_bytes(b"precious")
    (tmp_path / ".tmp-of-mine").touch()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="must be empty or a dance set"):
        claim_folder(tmp_path, SETTINGS, "any")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_a_killed_run_has_begun_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    claim_folder(tmp_path, SETTINGS, "any")
    (tmp_path / "danceset.json").unlink()  # it is written last
    claim_folder(tmp_path, SETTINGS, "any")
    (tmp_path / "danceset.json").unlink()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="must be empty or a dance set"):
        claim_folder(tmp_path, SETTINGS, "any")


@pytest.mark.slow
def test_a_folder_is_not_filled_with_two_kinds_of_clips(danceset: Path) -> None:
    with pytest.raises(InputError, match="seed 5, got 6"):
        render(danceset, replace(SETTINGS, seed=6))
    with pytest.raises(InputError, match="num_frames 3, got 4"):
        render(danceset, replace(SETTINGS, num_frames=4))


def test_a_half_written_clip_has_no_video(renderer: Renderer, tmp_path: Path) -> None:
    clip = render_scene(draw_scene(5, 0, 2, (192, 128)), renderer)
    broken = replace(clip, frames=np.zeros((0, HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(InputError):
        write_clip(tmp_path, 0, broken)
    assert [path.name for path in tmp_path.iterdir()] == ["00000.npz"]


@pytest.mark.slow
def test_preprocess_takes_the_set(danceset: Path, tmp_path: Path) -> None:
    config = PreprocessConfig(
        height=48, width=32, num_frames=3, face_size=16, pose_detector="annotation", store="frames"
    )
    recipe = Recipe(device="cpu", preprocess=config)
    summary = preprocess_videos(danceset, tmp_path, None, recipe, SilentProgress())
    assert summary.kept == 3 and not summary.skipped


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"num_clips": 0}, {"first": -1}, {"workers": 0}, {"height": 95}, {"width": 9}):
        with pytest.raises(ConfigError, match="must be"):
            replace(SETTINGS, **wrong)
    with pytest.raises(ConfigError, match="height x width"):
        parse_size("384,256")
    assert parse_size("384x256") == (384, 256)


def test_without_the_extra_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)  # as if it were not installed
    monkeypatch.setattr(sys, "argv", ["dancelcm", "danceset", str(tmp_path / "set")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert 'pip install "dancelcm[danceset]"' in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


@pytest.mark.slow
def test_without_egl_the_command_says_which_packages_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dancelcm_cli", "danceset", str(tmp_path / "set"), "--clips", "1"],
        env={**os.environ, "GLCONTEXT_LINUX_LIBEGL": "libEGL-missing.so"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "apt-get install libegl1" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "set").exists()


def test_help_tells_of_the_extra() -> None:
    shown = CliRunner().invoke(app, ["danceset", "--help"], env={"COLUMNS": "200"}).output
    assert 'pip install "dancelcm[danceset]"' in shown
