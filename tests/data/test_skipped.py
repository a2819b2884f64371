from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.jsonl import rewrite_rows
from dancelcm_cli.data.skipped import read_skipped, save_thumbnail
from dancelcm_cli.errors import InputError


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [(640, 320, (160, 80, 3)), (90, 640, (22, 160, 3)), (64, 48, (64, 48, 3))],
)
def test_a_thumbnail_is_small_and_keeps_its_shape(
    tmp_path: Path, height: int, width: int, shape: tuple[int, ...]
) -> None:
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2] = (255, 0, 0)
    save_thumbnail(tmp_path / "skipped" / "a.jpg", frame)
    picture = read_image(tmp_path / "skipped" / "a.jpg").astype(int)
    assert picture.shape == pytest.approx(shape, abs=1)
    assert picture[2, 2] == pytest.approx([255, 0, 0], abs=6) and picture[-3, 2].max() < 6


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("detail", None),
        ("source", "\ud800.mp4"),
        ("start", 1.0),
        ("thumbnail", "../secret.jpg"),
        ("size", 3),
    ],
)
def test_a_row_that_tells_nothing_of_a_video_is_refused(
    tmp_path: Path, column: str, value: object
) -> None:
    row = {"source": "caf\udce9.mp4", "reason": "no_person", "detail": ""}
    rewrite_rows(tmp_path / "skipped.jsonl", [row])
    assert [found.source for found in read_skipped(tmp_path)] == [row["source"]]
    rewrite_rows(tmp_path / "skipped.jsonl", [row, {**row, column: value}])
    with pytest.raises(InputError, match=r"skipped\.jsonl must tell in each row"):
        read_skipped(tmp_path)
