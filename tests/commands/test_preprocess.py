from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dancelcm_cli.app import app
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.video import probe_video, write_video
from dancelcm_cli.errors import ConfigError, InputError

SMALL = ["--store", "frames", "--set", "preprocess.num_frames=4", "--set", "preprocess.height=32"]


def preprocess(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["preprocess", *map(str, arguments)], env={"COLUMNS": "200"})


def write_dance(path: Path, seed: int = 0) -> None:
    """Write five frames of noise, and keypoints that are all in view."""
    generator = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, generator.integers(0, 256, (5, 64, 48, 3), np.uint8), 12)
    points = generator.uniform(8, 40, (5, 134, 2)).astype(np.float32)
    np.savez(path.with_suffix(".npz"), keypoints=points, visible=np.ones((5, 134), bool))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    write_dance(tmp_path / "videos" / "a.mp4")
    return tmp_path / "videos"


def test_what_is_left_out_is_a_table_of_reasons_and_counts(videos: Path, tmp_path: Path) -> None:
    result = preprocess(videos, *SMALL, "--output", tmp_path / "shards")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["clips", "1"] in lines
    assert any(line[1:4:2] == ["tail", "1"] for line in lines)


def test_append_adds_other_videos_with_the_settings_of_the_folder(
    videos: Path, tmp_path: Path
) -> None:
    shards = tmp_path / "shards"
    preprocess(videos, *SMALL, "--output", shards)
    write_dance(tmp_path / "more" / "a.mp4", seed=1)
    write_dance(tmp_path / "more" / "renamed.mp4")
    refused = preprocess(tmp_path / "more", "--output", shards)
    assert isinstance(refused.exception, InputError)
    assert "--append" in refused.exception.hint
    result = preprocess(tmp_path / "more", "--append", "--output", shards)
    assert result.exit_code == 0 and "duplicate" in result.stdout
    sources = [row.source for row in ShardReader(shards).rows]
    assert len(sources) == 2 and sources[0] == "a.mp4" and sources[1].startswith("a~")
    again = preprocess(tmp_path / "more", "--append", "--output", shards)
    assert "nothing new" in again.stderr


def test_append_needs_a_shard_folder_and_takes_its_recipe(videos: Path, tmp_path: Path) -> None:
    result = preprocess(videos, "--append", "--output", tmp_path / "shards")
    assert isinstance(result.exception, InputError)
    assert "must be a shard folder" in result.exception.message
    preprocess(videos, *SMALL, "--output", tmp_path / "shards")
    result = preprocess(videos, "--append", "--recipe", "smoke", "--output", tmp_path / "shards")
    assert isinstance(result.exception, ConfigError)


def test_a_preview_is_one_video_and_no_shards(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = preprocess(videos / "a.mp4", *SMALL, "--preview")
    assert result.exit_code == 0
    assert probe_video(tmp_path / "a-preview.mp4").num_frames == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-preview.mp4", "videos"]


def test_shares_fill_one_folder(videos: Path, tmp_path: Path) -> None:
    for share in ("1/2", "2/2"):
        output = tmp_path / "shards"
        result = preprocess(videos, *SMALL, "--shard", share, "--output", output)
        assert result.exit_code == 0
    assert len(ShardReader(output)) == 1
    assert preprocess("--verify", output).exit_code == 0


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2"])
def test_a_share_that_is_none_is_refused(videos: Path, tmp_path: Path, share: str) -> None:
    result = preprocess(videos, "--shard", share, "--output", tmp_path / "shards")
    assert isinstance(result.exception, ConfigError)
    assert not (tmp_path / "shards").exists()


def test_something_to_work_on_must_be_named() -> None:
    assert isinstance(preprocess().exception, InputError)


@pytest.mark.slow
def test_several_workers_fill_the_folder_as_one_does(videos: Path, tmp_path: Path) -> None:
    for workers in ("1", "2"):
        output = tmp_path / workers
        result = preprocess(videos, *SMALL, "--workers", workers, "--output", output)
        assert result.exit_code == 0
    one, two = (path.read_bytes() for path in sorted(tmp_path.glob("[12]/shard-*.safetensors")))
    assert one == two


@pytest.mark.parametrize("person", ["0", "10", "left"])
def test_a_person_that_is_none_is_refused(videos: Path, tmp_path: Path, person: str) -> None:
    result = preprocess(videos, "--person", person, "--output", tmp_path / "shards")
    assert isinstance(result.exception, ConfigError)
    assert "preprocess.person must be one of largest, center, 1" in result.exception.message


def test_a_preview_runs_on_the_device_that_is_asked_for(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    output = tmp_path / "p.mp4"
    result = preprocess(videos / "a.mp4", *SMALL, "--preview", "--device", "cuda", "-o", output)
    assert isinstance(result.exception, InputError)
    assert "--device cuda must be on this machine" in result.exception.message
    assert not output.exists()


def test_shards_among_the_videos_are_no_videos(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dance(videos / "b.mp4", seed=1)
    monkeypatch.chdir(videos)
    assert preprocess(".", *SMALL).exit_code == 0
    thumbnails = list((videos / "shards" / "skipped").iterdir())
    assert len(thumbnails) == 2  # as a folder of frames has them
    for arguments in (SMALL, ["--append"]):
        again = preprocess(".", *arguments)
        assert again.exit_code == 0 and "All 2 videos are done already" in again.stderr
