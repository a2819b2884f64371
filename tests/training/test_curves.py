from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from dancelcm_cli.training.curves import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    draw_curves,
)


def plot(path: Path) -> np.ndarray:
    """The pixels (H, W, 3) within the axes of a picture of one panel."""
    picture = np.asarray(Image.open(path))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    return picture[TOP - 4 : HEIGHT - BOTTOM + 4, LEFT - 4 : WIDTH - RIGHT + 4]


def heights(pixels: np.ndarray, colour: str) -> list[float]:
    """The mean row of a curve in each column that it passes."""
    near = np.abs(pixels.astype(int) - ImageColor.getrgb(colour)).sum(axis=2) < 60
    return [float(np.flatnonzero(column).mean()) for column in near.T if column.any()]


def test_a_straight_course_is_a_straight_line_over_the_whole_width(tmp_path: Path) -> None:
    rows = [{"step": step, "psnr": 10.0 + step} for step in range(101)]
    draw_curves(rows, tmp_path / "curves.png")
    line = heights(plot(tmp_path / "curves.png"), COLOURS[0])
    assert len(line) >= WIDTH - LEFT - RIGHT
    straight = np.linspace(line[0], line[-1], len(line))
    assert np.abs(np.array(line) - straight).max() < 2
    assert line[0] - line[-1] > 0.85 * (HEIGHT - TOP - BOTTOM)  # it rises, and fills the plot


def test_losses_are_drawn_by_their_logarithms(tmp_path: Path) -> None:
    rows = [{"step": step, "loss": 10 ** (-step / 25)} for step in range(101)]
    draw_curves(rows, tmp_path / "curves.png")
    line = np.array(heights(plot(tmp_path / "curves.png"), COLOURS[0]))
    assert np.abs(line - np.linspace(line[0], line[-1], len(line))).max() < 2
    assert line[-1] > line[0]


def test_each_kind_of_figure_has_a_panel_and_each_figure_a_colour(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    for step in (10, 20):
        rows.append({"step": step, "loss": 1 / step, "consistency": 2 / step, "gradient_norm": 1})
        rows.append({"step": step, "psnr_1": step, "spread_1": 1.0})
    draw_curves(rows, tmp_path / "curves.png")
    picture = np.asarray(Image.open(tmp_path / "curves.png"))
    assert picture.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    panels = [picture[y:, x:][:HEIGHT, :WIDTH] for y in (0, HEIGHT) for x in (0, WIDTH)]
    assert [bool(heights(panel, COLOURS[0])) for panel in panels] == [True] * 4
    assert [bool(heights(panel, COLOURS[1])) for panel in panels] == [True, False, False, False]


@pytest.mark.parametrize(
    "values", [[3.0], [3.0, 3.0], [0.0, 0.0], [-2.0, 5.0], [1e-30, 1e30], [1e-9, 2e-9]]
)
@pytest.mark.parametrize("name", ["psnr", "loss"])
def test_any_course_can_be_drawn(tmp_path: Path, name: str, values: list[float]) -> None:
    rows = [{"step": step, name: value} for step, value in enumerate(values)]
    draw_curves(rows, tmp_path / "curves.png")
    drawable = name == "psnr" or max(values) > 0
    assert (tmp_path / "curves.png").exists() == drawable


def test_rows_without_figures_that_are_drawn_leave_no_picture(tmp_path: Path) -> None:
    draw_curves([{"step": 1, "seconds_per_step": 2.0}], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())
