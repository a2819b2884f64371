from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.data.array_cache import Arrays, cache_folder, cached_arrays

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path))
    return cache_folder("things")


def never() -> Arrays:
    raise AssertionError("it is there already")


def some() -> Arrays:
    return {"a": ARRAY, "count": np.array(3)}


def test_what_was_computed_once_comes_back_exactly() -> None:
    first = cached_arrays("things", "key", some)
    second = cached_arrays("things", "key", never)
    assert first.keys() == second.keys()
    for name in first:
        assert np.array_equal(first[name], second[name])
        assert first[name].dtype == second[name].dtype


def test_keys_and_kinds_are_kept_apart() -> None:
    cached_arrays("things", "key", some)
    for kind, key in (("things", "other"), ("others", "key")):
        with pytest.raises(AssertionError):
            cached_arrays(kind, key, never)


def test_a_view_is_kept_as_it_looks() -> None:
    cached_arrays("things", "key", lambda: {"a": ARRAY.T})
    assert np.array_equal(cached_arrays("things", "key", never)["a"], ARRAY.T)


def test_a_damaged_file_is_made_again(cache: Path) -> None:
    cached_arrays("things", "key", some)
    (cache / "key.safetensors").write_bytes(b"damaged")
    assert np.array_equal(cached_arrays("things", "key", some)["a"], ARRAY)
    cached_arrays("things", "key", never)


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "file"))
    assert np.array_equal(cached_arrays("things", "key", some)["a"], ARRAY)


def test_what_was_used_longest_ago_goes_first(cache: Path) -> None:
    for age, key in enumerate(("c", "b", "a")):
        cached_arrays("things", key, some)
        os.utime(cache / f"{key}.safetensors", (1e9 - age, 1e9 - age))
    size = (cache / "a.safetensors").stat().st_size
    cached_arrays("things", "a", never)  # used just now
    cached_arrays("things", "d", some, limit=3 * size)
    assert {path.stem for path in cache.iterdir()} == {"a", "c", "d"}


def test_what_a_killed_process_left_is_cleared_away_in_time(cache: Path) -> None:
    cached_arrays("things", "key", some)
    (cache / ".tmp-old").write_text("old")
    (cache / ".tmp-new").write_text("new")
    os.utime(cache / ".tmp-old", (1e9, 1e9))
    cached_arrays("things", "other", some)
    assert {path.name for path in cache.glob(".*")} == {".tmp-new"}


def test_processes_that_share_a_small_cache_do_not_disturb_each_other(cache: Path) -> None:
    script = """
import numpy as np
from dancelcm_cli.data.array_cache import cached_arrays
for turn in range(150):
    key = turn % 5
    arrays = cached_arrays("things", str(key), lambda: {"a": np.full(99, key)}, limit=1500)
    assert (arrays["a"] == key).all()
"""
    command = [sys.executable, "-W", "error", "-c", script]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        assert process.communicate(timeout=120)[1] == ""
        assert process.returncode == 0
    assert sum(path.stat().st_size for path in cache.iterdir()) <= 1500
