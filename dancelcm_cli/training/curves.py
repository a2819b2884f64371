"""The picture of a run's course: losses, gradients and what the validations found, over steps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dancelcm_cli.data.atomic import atomic_path

WIDTH, HEIGHT = 640, 320  # pixels of a panel
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 30, 28  # margins around the plot, pixels
SMOOTH = 2  # all is drawn this much larger and made smaller, which smooths the lines
FONT_SIZE = 12
MOST_MARKED = 30  # points of a curve that are still marked one by one
COLOURS = (  # Okabe and Ito's, which the colour-blind tell apart
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#56b4e9", "#e69f00", "#000000", "#b2a800"),
)

Curve = list[tuple[float, float]]  # step, value


@dataclass(frozen=True)
class _Panel:
    title: str
    figures: str  # a pattern of their names
    logarithmic: bool = False


PANELS = (
    _Panel("losses", r"(validation_)?loss|consistency|motion|auxiliary|squared|absolute", True),
    _Panel("gradient norm", r"gradient_norm", True),
    _Panel("PSNR, dB", r"psnr(_.*)?"),
    _Panel("spread of the latents, true ones are 1", r"spread_(\d+|teacher)"),
)


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high`, or their decadic logarithms, along `pixels` of the picture."""

    low: float
    high: float
    pixels: tuple[float, float]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        position = math.log10(value) if self.logarithmic else value
        share = (position - self.low) / (self.high - self.low)
        return self.pixels[0] + share * (self.pixels[1] - self.pixels[0])

    def ticks(self) -> list[float]:
        """Return a few round values within the axis."""
        if self.logarithmic and self.high - self.low >= 1:
            decades = range(math.ceil(self.low), math.floor(self.high) + 1)
            return [10.0**decade for decade in decades[:: 1 + len(decades) // 6]]
        low, high = (10**self.low, 10**self.high) if self.logarithmic else (self.low, self.high)
        size = 10 ** math.floor(math.log10((high - low) / 2))
        step = next(
            size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) <= 6
        )
        return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def draw_curves(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the figures of the rows of a run's `metrics.jsonl`, a panel for each kind."""
    panels = []
    for panel in PANELS:
        curves = {
            name: curve for name in _names(rows, panel) if (curve := _curve(rows, name, panel))
        }
        if curves:
            panels.append(_draw_panel(panel, curves))
    if not panels:
        return
    columns = min(2, len(panels))
    size = (columns * WIDTH, math.ceil(len(panels) / columns) * HEIGHT)
    picture = Image.new("RGB", size, "white")
    for index, drawn in enumerate(panels):
        picture.paste(drawn, (index % columns * WIDTH, index // columns * HEIGHT))
    with atomic_path(path) as temporary:
        picture.save(temporary)


def _names(rows: Sequence[Mapping[str, float]], panel: _Panel) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if re.fullmatch(panel.figures, name)]


def _curve(rows: Sequence[Mapping[str, float]], name: str, panel: _Panel) -> Curve:
    points = [(row["step"], row[name]) for row in rows if name in row]
    return [(step, value) for step, value in points if value > 0 or not panel.logarithmic]


def _draw_panel(panel: _Panel, curves: Mapping[str, Curve]) -> Image.Image:
    picture = Image.new("RGB", (WIDTH * SMOOTH, HEIGHT * SMOOTH), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_SIZE * SMOOTH)
    x, y = _axes(panel, curves)
    draw.text((LEFT * SMOOTH, TOP * SMOOTH / 2), panel.title, "black", font, anchor="lm")
    for step in x.ticks():
        at = (x.place(step), y.pixels[0] + 6 * SMOOTH)
        draw.text(at, f"{step:g}", "#555555", font, anchor="mt")
    for value in y.ticks():
        height = y.place(value)
        draw.line([(x.pixels[0], height), (x.pixels[1], height)], "#dddddd", SMOOTH)
        at = (x.pixels[0] - 6 * SMOOTH, height)
        draw.text(at, f"{value:.4g}", "#555555", font, anchor="rm")
    for index, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = [(x.place(step), y.place(value)) for step, value in curve]
        draw.line(points, colour, 2 * SMOOTH, joint="curve")
        for point in points if len(points) <= MOST_MARKED else []:
            draw.circle(point, 3 * SMOOTH, colour)
        at = (x.pixels[1] + 10 * SMOOTH, (TOP + 8 + 18 * index) * SMOOTH)
        draw.text(at, f"{name} {curve[-1][1]:.4g}", colour, font, anchor="lm")
    return picture.reduce(SMOOTH)


def _axes(panel: _Panel, curves: Mapping[str, Curve]) -> tuple[_Axis, _Axis]:
    points = [point for curve in curves.values() for point in curve]
    across = (LEFT * SMOOTH, (WIDTH - RIGHT) * SMOOTH)
    upwards = ((HEIGHT - BOTTOM) * SMOOTH, TOP * SMOOTH)
    values = [math.log10(value) if panel.logarithmic else value for _, value in points]
    margin = 0.05 * (max(values) - min(values)) or 0.05 * abs(values[0]) or 1.0
    steps = [step for step, _ in points]
    x = _Axis(0.0, max(1.0, *steps), across)
    return x, _Axis(min(values) - margin, max(values) + margin, upwards, panel.logarithmic)
