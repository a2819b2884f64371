from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.skipped import save_thumbnail


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
