from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.data.array_cache import cache_folder
from dancelcm_cli.data.video import write_video
from dancelcm_cli.evaluate.clip_features import Features
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.feature_cache import KIND, cached_features, features_key
from dancelcm_cli.evaluate.protocol import DISCO_256
from dancelcm_cli.evaluate.sources import list_sources

FEATURES = np.arange(800, dtype=np.float32).reshape(2, 400)


def never() -> Features:
    raise AssertionError("computed again")


@pytest.fixture
def video(tmp_path: Path, write_videos: Callable[..., Path]) -> TestVideo:
    (source,) = list_sources(write_videos(tmp_path / "truth", [4])).values()
    return TestVideo("dance0", source, source.path)


def test_features_are_computed_once(cache: Path) -> None:
    assert np.array_equal(cached_features("a", lambda: FEATURES), FEATURES)
    assert np.array_equal(cached_features("a", never), FEATURES)
    assert cache_folder(KIND) == cache / "features"
    assert [path.name for path in cache_folder(KIND).iterdir()] == ["a.safetensors"]


def test_a_damaged_file_is_computed_again() -> None:
    cached_features("a", lambda: FEATURES)
    (cache_folder(KIND) / "a.safetensors").write_bytes(b"cut short")
    assert np.array_equal(cached_features("a", lambda: FEATURES + 1), FEATURES + 1)


def test_a_folder_that_cannot_be_written_is_done_without(cache: Path) -> None:
    cache.write_text("no folder")
    assert np.array_equal(cached_features("a", lambda: FEATURES), FEATURES)


def test_the_key_changes_with_all_that_features_depend_on(video: TestVideo) -> None:
    keys = [
        features_key(video, DISCO_256, "weights"),
        features_key(video, DISCO_256, "other weights"),
        features_key(replace(video, indices=range(3)), DISCO_256, "weights"),
        features_key(video, replace(DISCO_256, width=128), "weights"),
        features_key(video, replace(DISCO_256, geometry="squash"), "weights"),
        features_key(video, replace(DISCO_256, fvd_stride=2), "weights"),
        features_key(video, replace(DISCO_256, fvd_codec="h264"), "weights"),
    ]
    (video.truth.path / "0001.png").write_bytes((video.truth.path / "0002.png").read_bytes())
    keys.append(features_key(video, DISCO_256, "weights"))
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_change_with_names_and_other_metrics(
    video: TestVideo, tmp_path: Path
) -> None:
    key = features_key(video, DISCO_256, "weights")
    video.truth.path.rename(tmp_path / "moved")
    moved = list_sources(tmp_path)["moved"]
    renamed = TestVideo("x", moved, moved.path)
    assert features_key(renamed, replace(DISCO_256, lpips_range="signed"), "weights") == key


def test_video_files_have_keys_as_well(tmp_path: Path, make_frames: Callable[..., list]) -> None:
    keys = set()
    for seed in (0, 1):
        write_video(tmp_path / f"{seed}.mp4", make_frames(4, seed=seed), 12)
    for source in list_sources(tmp_path).values():
        keys.add(features_key(TestVideo("a", source, source.path), DISCO_256, "weights"))
    assert len(keys) == 2
