"""Files of keypoints that hold no numbers, numbers nobody can draw, or more than they say."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dancelcm_cli.animate.keypoint_files import read_keypoints, saved_fps
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_poses
from dancelcm_cli.perception.keypoints import read_annotation
from dancelcm_cli.perception.retarget import align_keypoints
from tests.reliability.hostile import envelopes
from tests.reliability.hostile.limits import MEBIBYTE, measured
from tests.reliability.hostile.samples import poses

SIZE = (48, 32)
READERS: tuple[Callable[[Path], object], ...] = (
    read_keypoints,
    saved_fps,
    lambda path: read_annotation(path, *SIZE),
)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "keypoints",
    [
        envelopes.npy("(1000000000000, 134, 3)"),
        envelopes.npy("(-1, 134, 3)"),
        envelopes.npy("(2, 134, 3)", data=bytes(10)),
        envelopes.npy("(" * 5000 + ")" * 5000),
        envelopes.npy("-" * 9000 + "1"),
        envelopes.npy("()", dtype="'|O'", data=pickle.dumps(print)),
        envelopes.npy("()", dtype="[('a', '|O')]", data=pickle.dumps(print)),
        envelopes.npy("(2,)", dtype="'<U100'", data=bytes(800)),
        envelopes.npy("(2,)", dtype="'<M8[s]'", data=bytes(16)),
        b"\x93NUMPY\x09\x09" + bytes(100),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"",
    ],
)
def test_an_array_that_is_none_is_refused_and_nothing_unpickled(
    tmp_path: Path, keypoints: bytes, read: Callable[[Path], object]
) -> None:
    path = envelopes.npz(tmp_path / "a.npz", keypoints=keypoints, size=envelopes.npy("(2,)"))
    with measured() as cost, pytest.raises(InputError, match="must hold the arrays") as caught:
        read(path)
    assert str(path) in caught.value.message
    assert cost.memory < 64 * MEBIBYTE


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 5 MB that unpacks to 1.2 GB."""
    path = tmp_path_factory.mktemp("bomb") / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        member = zipfile.ZipInfo("keypoints.npy")
        member.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(member, "w", force_zip64=True) as file:
            for _ in range(1200):
                file.write(bytes(10**6))
    assert path.stat().st_size < 6_000_000
    return path


@pytest.mark.slow
@pytest.mark.parametrize("read", READERS)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    bomb: Path, read: Callable[[Path], object]
) -> None:
    path = bomb
    with measured() as cost, pytest.raises(InputError, match="must unpack to at most"):
        read(path)
    assert cost.memory < 64 * MEBIBYTE


@pytest.mark.parametrize("read", READERS)
def test_a_member_that_lies_about_its_size_is_refused(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = envelopes.npz(tmp_path / "a.npz", keypoints=bytes(80 * MEBIBYTE))
    honest = path.read_bytes()
    size = (80 * MEBIBYTE).to_bytes(4, "little")
    assert honest.count(size) == 2  # in front of the member and in the table
    path.write_bytes(honest.replace(size, (100).to_bytes(4, "little")))
    with measured() as cost, pytest.raises(InputError, match="must hold the arrays"):
        read(path)
    assert cost.memory < 64 * MEBIBYTE


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e300, 1e308, 5e-324])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_numbers_that_nobody_can_draw_are_refused_or_unseen(
    tmp_path: Path, value: float, axis: int
) -> None:
    keypoints = poses(3).astype(np.float64)
    keypoints[1, 3:9, axis] = value
    path = tmp_path / "a.npz"
    np.savez(path, keypoints=keypoints, size=np.array(SIZE))
    found = [read_annotation(path, *SIZE)]
    if abs(value) < float(np.finfo(np.float32).max):
        found.append(read_keypoints(path).keypoints)
    else:
        with pytest.raises(InputError, match="must be finite numbers"):
            read_keypoints(path)
    for points in found:
        assert np.isfinite(points).all()
        assert abs(points).max() <= 100
        assert not points[1, 3:9, 2].any() or abs(value) < 1
        assert_drawable(points)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, -1e300])
def test_pixels_that_nobody_can_draw_are_unseen(tmp_path: Path, value: float) -> None:
    pixels = poses(3)[..., :2].astype(np.float64) * (32, 48)
    pixels[1, 3:9] = value
    np.savez(tmp_path / "a.npz", keypoints=pixels, visible=np.ones((3, 134), bool))
    points = read_annotation(tmp_path / "a.npz", *SIZE)
    assert not points[1, 3:9, 2].any()
    assert_drawable(points)


@pytest.mark.parametrize(
    "arrays",
    [
        {"size": np.array([0, 5])},
        {"size": np.array([2**40, 5])},
        {"size": np.array([np.nan, 5.0])},
        {"size": np.array([np.inf, 5.0])},
        {"size": np.zeros((2, 2))},
        {"fps": np.float64(0)},
        {"fps": np.float64(-30)},
        {"fps": np.float64(np.nan)},
        {"fps": np.float64(np.inf)},
        {"fps": np.float64(1e-300)},
        {"fps": np.ones(2)},
    ],
)
def test_a_size_or_rate_that_no_video_has_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **{"keypoints": poses(3), "size": np.array(SIZE), **arrays})
    with pytest.raises(InputError, match=r"must be positive|must hold the arrays"):
        read_keypoints(path)


@settings(max_examples=40)
@given(
    keypoints=arrays.arrays(
        arrays.scalar_dtypes(),
        st.one_of(arrays.array_shapes(min_dims=0, max_dims=4, max_side=3), st.just((2, 134, 3))),
    ),
    visible=st.none() | arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(max_side=3)),
)
def test_any_arrays_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, keypoints: np.ndarray, visible: np.ndarray | None
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.npz"
    extra = {} if visible is None else {"visible": visible}
    np.savez(path, keypoints=keypoints, size=np.array(SIZE), **extra)
    for read in READERS:
        try:
            found = read(path)
        except InputError as error:
            assert str(path) in error.message
            continue
        if isinstance(found, np.ndarray):
            assert_drawable(found)


def assert_drawable(keypoints: np.ndarray) -> None:
    aligned = align_keypoints(
        keypoints, keypoints[0], "robust", driving_aspect=0.6, reference_aspect=0.7
    )
    for points in (keypoints, aligned):
        assert draw_poses(points, *SIZE).shape == (len(keypoints), *SIZE, 3)
