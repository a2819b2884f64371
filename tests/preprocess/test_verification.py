import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dancelcm_cli.app import app
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.preprocess.verification import Damage, verify_shards
from dancelcm_cli.progress import SilentProgress
from tests.preprocess.conftest import WriteAnnotated


@pytest.fixture
def shards(tmp_path: Path, model: Path, recipe: Recipe, write_annotated: WriteAnnotated) -> Path:
    """A folder of one shard with the clips of two videos."""
    for name in ("a.mp4", "b.mp4"):
        write_annotated(tmp_path / "videos" / name, 4)
    preprocess_videos(tmp_path / "videos", tmp_path / "shards", model, recipe, SilentProgress())
    return tmp_path / "shards"


def damage(shards: Path) -> tuple[Damage, ...]:
    return verify_shards(shards, SilentProgress()).damage


def test_what_was_just_written_is_intact(shards: Path) -> None:
    found = verify_shards(shards, SilentProgress())
    assert (found.shards, found.clips, found.damage) == (1, 2, ())


def test_a_flipped_bit_names_its_clip_and_no_other(shards: Path) -> None:
    path = shards / "shard-00000.safetensors"
    content = bytearray(path.read_bytes())
    for place in range(-1, -len(content) // 4, -977):
        flipped = content.copy()
        flipped[place] ^= 1
        path.write_bytes(flipped)
        (found,) = damage(shards)
        assert found.shard == path.name
        assert found.clip_id in {row.clip_id for row in ShardReader(shards).rows}


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_cut_shard_is_named(shards: Path, kept: int) -> None:
    path = shards / "shard-00000.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    (found,) = damage(shards)
    assert (found.shard, found.clip_id) == (path.name, "")


def test_a_missing_shard_is_named(shards: Path) -> None:
    (shards / "shard-00000.safetensors").unlink()
    assert [found.shard for found in damage(shards)] == ["shard-00000.safetensors"]


def test_an_index_that_lists_other_clips_is_damage(shards: Path) -> None:
    index = shards / "index.jsonl"
    rows = index.read_text().splitlines()
    index.write_text(rows[0] + "\n")
    (found,) = damage(shards)
    assert "it lists 2 clips" in found.detail
    row = json.loads(rows[1])
    index.write_text("\n".join([rows[0], json.dumps({**row, "clip_id": "x"}), ""]))
    assert [found.clip_id for found in damage(shards)] == ["x"]


def test_a_folder_without_shards_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a shard folder"):
        damage(tmp_path)


def test_the_command_names_the_damaged_and_fails(shards: Path) -> None:
    good = CliRunner().invoke(app, ["preprocess", "--verify", str(shards)])
    assert good.exit_code == 0 and "intact" in good.output
    path = shards / "shard-00000.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    bad = CliRunner().invoke(app, ["preprocess", "--verify", str(shards)])
    assert isinstance(bad.exception, InputError)
    assert "1 damaged of 1 shards: shard-00000.safetensors" in bad.exception.message
    assert ShardReader(shards).rows[1].clip_id in bad.output
