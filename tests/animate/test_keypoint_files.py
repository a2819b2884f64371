from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dancelcm_cli.animate.keypoint_files import read_keypoints, saved_fps, write_keypoints
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.keypoints import read_annotation

KEYPOINTS = np.random.default_rng(0).random((5, 134, 3), np.float32)
SIZE = np.array([384, 256])


@pytest.mark.parametrize("fps", [Fraction(12), Fraction(30000, 1001), Fraction(15, 2)])
def test_saved_keypoints_come_back_exactly(tmp_path: Path, fps: Fraction) -> None:
    write_keypoints(tmp_path / "a.npz", KEYPOINTS, fps, (384, 256))
    saved = read_keypoints(tmp_path / "a.npz")
    assert np.array_equal(saved.keypoints, KEYPOINTS)
    assert (saved.fps, saved.size) == (fps, (384, 256))


def test_the_rate_may_be_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", keypoints=KEYPOINTS.astype(np.float64), size=SIZE)
    saved = read_keypoints(tmp_path / "a.npz")
    assert saved.fps is None
    assert saved.keypoints.dtype == np.float32


def test_beside_a_video_they_are_its_annotation(tmp_path: Path) -> None:
    write_keypoints(tmp_path / "a.npz", KEYPOINTS, Fraction(12), (384, 256))
    assert np.array_equal(read_annotation(tmp_path / "a.npz", 384, 256), KEYPOINTS)


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"keypoints": KEYPOINTS}, "must hold the arrays"),
        ({"size": SIZE}, "must hold the arrays"),
        ({"keypoints": KEYPOINTS[..., :2], "size": SIZE}, r"\(5, 134, 2\)"),
        ({"keypoints": KEYPOINTS[0], "size": SIZE}, r"\(134, 3\)"),
        ({"keypoints": KEYPOINTS[:1], "size": SIZE}, "at least 2 frames"),
        ({"keypoints": KEYPOINTS * np.nan, "size": SIZE}, "finite"),
        ({"keypoints": KEYPOINTS, "size": np.array([0, 9])}, "must be positive"),
        ({"keypoints": KEYPOINTS, "size": np.array([9])}, "must hold the arrays"),
        ({"keypoints": KEYPOINTS, "size": SIZE, "fps": np.array(-1.0)}, "must be positive"),
        ({"keypoints": np.array([{}], object), "size": SIZE}, "must hold the arrays"),
        ({"keypoints": np.array("text"), "size": SIZE}, "must"),
        ({"keypoints": KEYPOINTS.astype(str), "size": SIZE}, "must hold the arrays"),
    ],
)
def test_anything_else_is_refused_with_a_hint(
    tmp_path: Path, arrays: dict[str, Any], complaint: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=complaint) as caught:
        read_keypoints(tmp_path / "a.npz")
    assert caught.value.hint


def test_words_count_for_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", keypoints=KEYPOINTS, size=SIZE, fps="30/1", remark="a waltz")
    assert saved_fps(tmp_path / "a.npz") is None
    saved = read_keypoints(tmp_path / "a.npz")
    assert saved.fps is None and np.array_equal(saved.keypoints, KEYPOINTS)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("no archive")
    with pytest.raises(InputError, match="must hold the arrays"):
        read_keypoints(tmp_path / "a.npz")


def test_a_small_file_that_would_fill_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("keypoints.npy", bytes(2_000_000))
    monkeypatch.setattr("dancelcm_cli.perception.array_files.LARGEST", 1_000_000)
    with pytest.raises(InputError, match="unpack to at most 1,000,000 bytes, got 2,000,000"):
        read_keypoints(tmp_path / "a.npz")
