"""Recipes, tables and ledgers that are too deep, too long, or say what nothing can be."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.animate.jobs import read_jobs
from dancelcm_cli.animate.record import Model
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.clips import IndexRow
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shard_files import read_index, read_manifest
from dancelcm_cli.data.skipped import read_skipped
from dancelcm_cli.data.weight_ledger import hash_record
from dancelcm_cli.errors import ConfigError, DanceLCMError, InputError
from dancelcm_cli.preprocess.report import write_report
from tests.reliability.hostile.limits import MEBIBYTE, measured
from tests.reliability.hostile.samples import make_shards

JSON: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(
        ["../x", "/etc/passwd", "a" * 300, "\0", "\ud800", "shard-00000.safetensors", "", 10**400]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


# --- recipes ---


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a = " * 100_000,
        ".".join(["a"] * 40_000) + " = 1",
        "[" + ".".join(["a"] * 40_000) + "]",
        "\n".join(".".join([f"a{n}", *"b" * 99]) + " = 1" for n in range(480)),
        "seed = " + "9" * 100_000,
        "seed = 0x" + "f" * 100_000,
        "[animate]\nfps = " + "9" * 100_000 + ".0",
        "[animate]\nfps = " + "9" * 400,
        "seed = 1" + "\n# " + "x" * 2_000_000,
        "a = '''" + "x" * 90_000,
        "\0",
        "\ufeffseed = 1",
        "seed = 1\nseed = 2",
        "seed = 2026-01-01T00:00:00Z",
        "seed = nan",
        "[preprocess]\nheight = 1000000000000000000000",
        "[train.optimizer]\nlearning_rate = inf",
        "extends = ['unianimate']",
        "extends = '../../etc/passwd'",
        "[animate]\nsteps = -1",
        "animate = 5",
    ],
)
def test_a_bomb_in_a_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with measured() as cost, pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert len(caught.value.message) < 1000
    assert cost.memory < 128 * MEBIBYTE
    assert cost.seconds < 30


def test_a_recipe_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    with path.open("wb") as file:
        file.truncate(50 * 10**9)  # a hole: it takes no room
    with pytest.raises(ConfigError, match="of at most 100,000"):
        load_recipe(path)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000, "{a=" * 5000, "1\nseed = 2"])
def test_a_bomb_in_an_override_is_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        load_recipe(None, [f"seed={value}"])


@given(key=st.sampled_from(["seed", "animate.fps", "preprocess.fit", "train"]), value=JSON)
def test_any_value_is_taken_or_refused_by_its_key(key: str, value: object) -> None:
    try:
        load_recipe(None, [f"{key}={json.dumps(value)}"])
    except ConfigError as error:
        assert key.split(".")[0] in error.message


# --- tables of a batch ---


@given(text=st.text(st.characters(codec="utf-8"), max_size=200), header=st.booleans())
def test_any_table_is_read_or_refused_by_its_name(
    tmp_path_factory: pytest.TempPathFactory, text: str, header: bool
) -> None:
    folder = tmp_path_factory.mktemp("jobs")
    table = folder / "jobs.csv"
    first = "reference,driving,output,seed,steps\n" if header else ""
    table.write_text(first + text, encoding="utf-8")
    try:
        jobs = read_jobs(table, folder / "made", Model(folder), Recipe(), None)
    except DanceLCMError as error:
        assert str(table) in error.message or str(folder) in error.message or "steps" in str(error)
        return
    assert all(job.output.resolve().is_relative_to((folder / "made").resolve()) for job in jobs)


# --- ledgers ---


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    make_shards(folder)
    return folder


@given(changes=st.dictionaries(st.sampled_from([f.name for f in fields(IndexRow)]), JSON))
def test_any_row_of_an_index_is_reported_or_refused(
    shards: Path, changes: dict[str, object]
) -> None:
    index = shards / "index.jsonl"
    kept = index.read_text()
    try:
        rows = [json.loads(line) | changes for line in kept.splitlines()]
        index.write_text("".join(json.dumps(row) + "\n" for row in rows))
        for row in read_index(shards):
            assert (shards / row.shard).resolve().is_relative_to(shards.resolve())
        write_report(shards)
    except InputError as error:
        assert str(shards) in error.message
    finally:
        index.write_text(kept)


@given(rows=st.lists(JSON, max_size=3))
def test_any_ledger_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[object]
) -> None:
    folder = tmp_path_factory.mktemp("ledgers")
    for name in ("index.jsonl", "skipped.jsonl", "manifest.json", "hashes.json"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for read in (
        lambda: read_rows(folder / "index.jsonl"),
        lambda: read_index(folder),
        lambda: read_skipped(folder),
        lambda: read_manifest(folder),
        lambda: hash_record(folder, "taesd"),
    ):
        try:
            read()
        except InputError as error:
            assert str(folder) in error.message


@pytest.mark.parametrize("name", ["index.jsonl", "skipped.jsonl", "sources.jsonl", "manifest.json"])
@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 100_000, "9" * 100_000, "\xff", '"'])
def test_a_bomb_in_a_ledger_is_refused(tmp_path: Path, name: str, text: str) -> None:
    make_shards(tmp_path)
    (tmp_path / name).write_text(text + "\n", encoding="latin-1")
    with measured() as cost, pytest.raises(InputError, match=name):
        read_manifest(tmp_path)
        read_index(tmp_path)
        read_rows(tmp_path / name)
    assert cost.memory < 128 * MEBIBYTE
