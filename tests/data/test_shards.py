from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dancelcm_cli.data.clips import TENSOR_FIELDS
from dancelcm_cli.data.jsonl import read_rows, rewrite_rows
from dancelcm_cli.data.shard_files import read_index
from dancelcm_cli.data.shards import FORMAT_VERSION, Clip, ShardReader, ShardWriter, make_clip_id
from dancelcm_cli.errors import InputError

MANIFEST = {"latent_channels": 4, "size": (16, 8)}
SOURCES = [f"day {day}/dance.mp4" for day in range(5)]
CLIPS_PER_SOURCE = 2


def make_clip(source: str, start_frame: int, store: str = "latents") -> Clip:
    generator = torch.Generator().manual_seed(start_frame + sum(map(ord, source)))
    keypoints = torch.rand(3, 134, 3, generator=generator).numpy()
    fields: dict[str, Any] = {}
    if store == "latents":
        fields = {
            "latents": torch.randn(4, 3, 2, 1, generator=generator).half(),
            "reference_latents": torch.randn(4, 2, 1, generator=generator).half(),
            "face_latents": torch.randn(4, 1, 1, generator=generator).half(),
            "motion_mask": torch.rand(3, 2, 1, generator=generator) > 0.5,
        }
    else:
        fields["frames"] = (keypoints[:, :16, None].repeat(8, axis=2) * 255).astype(np.uint8)
    return Clip(
        clip_id=make_clip_id(source, start_frame),
        source=source,
        fps=12.5,
        start_frame=start_frame,
        keypoints=keypoints,
        reference_index=1,
        reference_keypoints=keypoints[1],
        **fields,
    )


def open_writer(folder: Path, shard_bytes: int = 15_000) -> ShardWriter:
    return ShardWriter(folder, 'name = "test"\n', MANIFEST, shard_bytes)


class Killed(Exception):
    """Stands for a run that ends without any chance to tidy up."""


def fill(folder: Path, steps: int | None = None) -> None:
    """Do a whole run, or stop it after so many steps as if it were killed."""

    def work(writer: ShardWriter) -> Iterator[None]:
        for source in SOURCES:
            if source in writer.done:
                continue
            for number in range(CLIPS_PER_SOURCE):
                writer.add(make_clip(source, 3 * number))
                yield
            writer.skip(source, "too_short", "frames 6 to 7")
            yield
            writer.finish(source)
            yield

    with open_writer(folder) as writer:
        for step, _ in enumerate(work(writer), start=1):
            if step == steps:
                raise Killed


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def assert_equal(clip: Clip, other: Clip) -> None:
    for name in ("clip_id", "source", "fps", "start_frame", "reference_index", "num_frames"):
        assert getattr(clip, name) == getattr(other, name)
    for name in TENSOR_FIELDS:
        first, second = getattr(clip, name), getattr(other, name)
        assert type(first) is type(second)
        if first is not None:
            assert first.dtype == second.dtype
            assert first.tolist() == second.tolist()


@pytest.mark.parametrize("store", ["latents", "frames"])
def test_a_clip_comes_back_as_it_was_added(tmp_path: Path, store: str) -> None:
    clip = make_clip("a.mp4", 24, store)
    with open_writer(tmp_path) as writer:
        writer.add(clip)
    reader = ShardReader(tmp_path)
    reader.verify()
    assert_equal(reader[0], clip)
    assert reader.rows[0].has_face == (store == "latents")


def test_clips_keep_their_order_over_several_shards(tmp_path: Path) -> None:
    fill(tmp_path)
    reader = ShardReader(tmp_path)
    assert [row.source for row in reader.rows] == [s for s in SOURCES for _ in range(2)]
    assert len({row.shard for row in reader.rows}) > 2
    assert not (tmp_path / ".pending").exists()


def test_a_folder_depends_on_nothing_but_its_clips(tmp_path: Path) -> None:
    fill(tmp_path / "first")
    fill(tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


@pytest.mark.parametrize("steps", range(1, len(SOURCES) * (CLIPS_PER_SOURCE + 2) + 1))
def test_a_resumed_run_writes_the_same_bytes(tmp_path: Path, steps: int) -> None:
    fill(tmp_path / "uninterrupted")
    with pytest.raises(Killed):
        fill(tmp_path / "resumed", steps)
    fill(tmp_path / "resumed")
    assert contents(tmp_path / "resumed") == contents(tmp_path / "uninterrupted")


def test_a_kill_between_shard_and_index_is_repaired(tmp_path: Path) -> None:
    fill(tmp_path)
    whole = contents(tmp_path)
    index = tmp_path / "index.jsonl"
    for length in range(0, len(whole["index.jsonl"]), 97):
        index.write_bytes(whole["index.jsonl"][:length])
        (tmp_path / ".tmp-half.safetensors").write_bytes(b"half")
        fill(tmp_path)
        assert contents(tmp_path) == whole


def test_a_finished_folder_has_nothing_left_to_do(tmp_path: Path) -> None:
    fill(tmp_path)
    with open_writer(tmp_path) as writer:
        assert writer.done == set(SOURCES)


def test_what_was_skipped_comes_back_with_its_time_and_thumbnail(tmp_path: Path) -> None:
    frame = np.zeros((32, 16, 3), np.uint8)
    with open_writer(tmp_path) as writer:
        writer.skip("a.mp4", "tail", "frames 8 to 9", (0.8, 1.0), frame)
        writer.skip("b.mp4", "unreadable", "cut short")
        skipped = writer.skipped
    (tmp_path / "skipped" / ".tmp-half.jpg").write_bytes(b"half")
    with open_writer(tmp_path) as writer:
        assert writer.skipped == skipped
        writer.skip("a.mp4", "tail", "frames 8 to 9", (0.8, 1.0), frame)
        assert writer.skipped == skipped
    assert (skipped[0].start, skipped[0].end, skipped[1].thumbnail) == (0.8, 1.0, None)
    assert [f"skipped/{path.name}" for path in (tmp_path / "skipped").iterdir()] == [
        skipped[0].thumbnail
    ]


def test_hashes_of_what_is_done_are_kept_and_those_of_lost_shards_forgotten(
    tmp_path: Path,
) -> None:
    with open_writer(tmp_path) as writer:
        writer.add(make_clip("a.mp4", 0))
        writer.finish("a.mp4", "aa")
        writer.finish("b.mp4", "bb")
        writer.finish("old.mp4")
    with open_writer(tmp_path) as writer:
        assert writer.hashes == {"a.mp4": "aa", "b.mp4": "bb", "old.mp4": None}
    (tmp_path / "shard-00000.safetensors").unlink()
    with open_writer(tmp_path) as writer:
        assert writer.hashes == {"b.mp4": "bb", "old.mp4": None}


def test_the_gap_of_a_deleted_shard_is_filled(tmp_path: Path) -> None:
    fill(tmp_path)
    before = {row.clip_id: row.sha256 for row in ShardReader(tmp_path).rows}
    (tmp_path / "shard-00001.safetensors").unlink()
    fill(tmp_path)
    reader = ShardReader(tmp_path)
    reader.verify()
    assert {row.clip_id: row.sha256 for row in reader.rows} == before


def test_verify_names_a_damaged_clip(tmp_path: Path) -> None:
    fill(tmp_path)
    row = ShardReader(tmp_path).rows[-1]
    path = tmp_path / row.shard
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=row.shard):
        ShardReader(tmp_path).verify()


def test_a_missing_shard_is_an_error_that_names_it(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "shard-00000.safetensors").unlink()
    with pytest.raises(InputError, match="shard-00000") as caught:
        ShardReader(tmp_path)[0]
    assert "fills the gap" in caught.value.hint


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(InputError, match="other values of size"):
        ShardWriter(tmp_path, "", {**MANIFEST, "size": (8, 8)}, 1000)


def test_other_library_versions_are_not_other_settings(tmp_path: Path) -> None:
    fill(tmp_path)
    with ShardWriter(tmp_path, "", {**MANIFEST, "versions": {"torch": "9"}}, 1000) as writer:
        assert writer.done == set(SOURCES)


def test_two_runs_cannot_fill_one_folder(tmp_path: Path) -> None:
    with open_writer(tmp_path), pytest.raises(InputError, match="in use"):
        open_writer(tmp_path)


def test_a_run_killed_before_its_manifest_does_not_stand_in_the_way(tmp_path: Path) -> None:
    fill(tmp_path / "uninterrupted")
    (tmp_path / "resumed").mkdir()
    (tmp_path / "resumed" / "recipe.toml").write_text("# another one")
    (tmp_path / "resumed" / ".tmp-half.json").write_bytes(b"half")
    fill(tmp_path / "resumed")
    assert contents(tmp_path / "resumed") == contents(tmp_path / "uninterrupted")


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(InputError, match="must be empty"):
        open_writer(tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_an_unknown_format_version_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace(f": {FORMAT_VERSION}", ": 99", 1))
    with pytest.raises(InputError, match="must be 1, got 99"):
        ShardReader(tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("confidence", ""),
        ("people", []),
        ("motion_share", {}),
        ("face_box", ""),
        ("source", "\ud800.mp4"),
        ("fps", float("inf")),
        ("start_frame", True),
        ("clip_id", "../dance"),
    ],
)
def test_a_row_of_the_index_that_no_clip_has_is_refused(
    tmp_path: Path, column: str, value: object
) -> None:
    fill(tmp_path)
    rows = read_rows(tmp_path / "index.jsonl")
    rows[3][column] = value
    rewrite_rows(tmp_path / "index.jsonl", rows)
    with pytest.raises(InputError, match=r"index\.jsonl must have the columns"):
        read_index(tmp_path)


def test_a_folder_without_clips_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.json"):
        ShardReader(tmp_path)
    with open_writer(tmp_path) as writer:
        writer.skip("a.mp4", "no_person")
        writer.finish("a.mp4")
    with pytest.raises(InputError, match="got none"):
        ShardReader(tmp_path)


def test_clip_ids_are_safe_and_tell_sources_apart() -> None:
    awkward = ["a/dance.mp4", "b/dance.mp4", "ダンス.mp4", "../x.mp4", "\udcff.mp4", "a" * 300]
    names = [make_clip_id(source, 24) for source in awkward]
    assert len(set(names)) == len(awkward)
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in names)
    assert max(map(len, names)) < 64
