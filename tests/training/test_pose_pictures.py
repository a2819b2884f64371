from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.pose_pictures import DrawnPoses, KeptPoses

SIZE = (64, 48)
MakeShards = Callable[..., Path]


@pytest.fixture
def reader(make_shards: MakeShards, tmp_path: Path) -> ShardReader:
    return ShardReader(make_shards(tmp_path / "shards"))


@pytest.mark.parametrize("reference", [None, 0, 5])
def test_kept_pictures_are_those_that_are_drawn(reader: ShardReader, reference: int | None) -> None:
    kept, drawn = KeptPoses(reader, SIZE), DrawnPoses(SIZE)
    kept.prepare(SilentProgress())
    for index in (len(reader) - 1, 0):
        clip, window = reader[index], slice(1, 4)
        wanted = drawn.of(index, clip, window, reference)
        assert wanted.shape == (4, *SIZE, 3)
        assert wanted.any()
        assert np.array_equal(kept.of(index, clip, window, reference), wanted)


def test_a_file_that_is_there_is_not_drawn_again(reader: ShardReader) -> None:
    kept = KeptPoses(reader, SIZE)
    kept.prepare(SilentProgress())
    written = kept.path.stat().st_mtime_ns
    KeptPoses(reader, SIZE).prepare(SilentProgress())
    assert kept.path.stat().st_mtime_ns == written


def test_other_sizes_and_other_clips_have_files_of_their_own(
    reader: ShardReader, make_shards: MakeShards, tmp_path: Path
) -> None:
    fewer = ShardReader(make_shards(tmp_path / "fewer", clips_per_source=(2,)))
    names = {KeptPoses(reader, size).path.name for size in (SIZE, (32, 32))}
    assert len(names | {KeptPoses(fewer, SIZE).path.name}) == 3


def test_a_folder_that_takes_no_file_is_named(reader: ShardReader, tmp_path: Path) -> None:
    reader.folder = tmp_path / "file"
    reader.folder.write_text("no folder")
    with pytest.raises(InputError, match="must take a file of drawn poses") as caught:
        KeptPoses(reader, SIZE).prepare(SilentProgress())
    assert "compute.keep_poses=false" in caught.value.hint
