"""Pictures that would fill the memory, run a program or never end."""

from __future__ import annotations

import io
import stat
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.images import is_picture, list_pictures, read_image
from dancelcm_cli.errors import InputError
from tests.reliability.hostile import envelopes
from tests.reliability.hostile.limits import MEBIBYTE, measured

SMALL = 64 * MEBIBYTE  # what refusing a bomb may take


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", envelopes.png(60_000, 60_000, b"")),
        ("b.png", envelopes.png(2**31 - 1, 2**31 - 1, b"")),
        ("c.png", envelopes.png(0, 5, b"")),
        ("d.gif", envelopes.gif(65_535, 65_535)),
        ("e.bmp", b"BM" + bytes(12) + b"\x28" + bytes(3) + b"\xff\xff\xff\x7f" * 2 + b"\1\0\x18\0"),
        ("f.ppm", b"P6 99999999 99999999 255\n"),
        ("g.tga", bytes(12) + b"\xff\xff\xff\xff\x18\0"),
    ],
)
def test_huge_and_impossible_sizes_are_refused_before_memory_is_taken(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with measured() as cost, pytest.raises(InputError, match=r"must") as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message
    assert cost.memory < SMALL
    is_picture(tmp_path / name)
    list_pictures(tmp_path)


def test_a_zip_bomb_in_a_text_chunk_is_not_unpacked(tmp_path: Path) -> None:
    small = envelopes.png(4, 4, envelopes.blank_rows(4, 4))
    bomb = b"Comment\0\0" + zlib.compress(bytes(128 * MEBIBYTE), 1)
    (tmp_path / "a.png").write_bytes(envelopes.png_with(small, b"zTXt", bomb))
    with measured() as cost, pytest.raises(InputError, match="a damaged one"):
        read_image(tmp_path / "a.png")
    assert cost.memory < SMALL


def test_pixels_beyond_the_promised_size_are_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(envelopes.png(4, 4, bytes(128 * MEBIBYTE)))
    with measured() as cost:
        assert read_image(tmp_path / "a.png").shape == (4, 4, 3)
    assert cost.memory < SMALL


def test_an_icon_that_holds_a_bomb_is_refused(tmp_path: Path) -> None:
    inner = envelopes.png(60_000, 60_000, b"")
    entry = b"\x00\x00\x01\x00\x01\x00" + b"\x10\x10\0\0\1\0\x20\0"
    entry += len(inner).to_bytes(4, "little") + (22).to_bytes(4, "little")
    (tmp_path / "a.ico").write_bytes(entry + inner)
    with measured() as cost, pytest.raises(InputError, match="must"):
        read_image(tmp_path / "a.ico")
    assert cost.memory < SMALL


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1)])
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_a_hundred_thousand_pixels_in_one_row_are_read(
    tmp_path: Path, shape: tuple[int, int], fit: str
) -> None:
    Image.fromarray(np.full((*shape, 3), 200, np.uint8)).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == (*shape, 3)
    assert fit_frame(picture, 192, 128, fit).shape == (192, 128, 3)


def test_postscript_is_not_handed_to_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, format="EPS")
    (tmp_path / "a.png").write_bytes(written.getvalue())
    with pytest.raises(InputError, match="a file that is none"):
        read_image(tmp_path / "a.png")
    assert not (tmp_path / "mark").exists()


@pytest.mark.slow
def test_the_largest_picture_that_is_read_stays_within_the_bound(tmp_path: Path) -> None:
    width, height = 9_400, 9_500  # just below Pillow's limit
    rows = envelopes.blank_rows(width, height, 4)
    (tmp_path / "a.png").write_bytes(envelopes.png(width, height, rows, colours=6))
    del rows
    with measured() as cost:
        assert read_image(tmp_path / "a.png").shape == (height, width, 3)
    assert cost.memory < 2048 * MEBIBYTE
