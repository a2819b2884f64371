"""The paper's tables as pictures: a panel of dots for each metric, and a strip of frames."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.evaluate.datasets import TestVideo, open_dataset
from dancelcm_cli.evaluate.generation import narrow_videos
from dancelcm_cli.evaluate.results import EvaluationResult
from dancelcm_cli.evaluate.sources import list_sources
from dancelcm_cli.training.curves import COLOURS
from dancelcm_cli.training.strips import write_strip
from tests.benchmarks.paper_rows import BASELINE, BASELINE_STEPS, Line
from tests.benchmarks.paper_scores import Cell

LABELS, PANEL, ROW, TOP, BOTTOM = 170, 190, 24, 34, 30  # widths and heights, pixels
MARGIN = 22  # pixels between the frame of a panel and its values
SMOOTH = 2  # all is drawn this much larger and made smaller, which smooths the dots
FONT_SIZE = 12
AGREES, DIFFERS, UNKNOWN = COLOURS[0], COLOURS[1], "#777777"
LEGEND = (
    (AGREES, "on the paper's side of DanceLCM, 4 steps"),
    (DIFFERS, "on the other side"),
    (UNKNOWN, "the paper does not say"),
)
SHOWN_CLIPS = 3

Rows = Sequence[tuple[Line, Sequence[Cell]]]


def draw_table(rows: Rows, path: Path) -> bool:
    """Draw a panel for each metric that was measured; return whether there was any.

    A large dot is a mean, small ones are its seeds; a line marks DanceLCM at 4 steps.
    """
    lines = [line for line, _ in rows]
    panels = [
        column
        for column in zip(*(cells for _, cells in rows), strict=True)
        if any(cell.values for cell in column)
    ]
    if not panels:
        return False
    width = LABELS + max(3, len(panels)) * PANEL
    height = TOP + ROW * len(lines) + BOTTOM
    picture = Image.new("RGB", (width * SMOOTH, height * SMOOTH), "white")
    draw = ImageDraw.Draw(picture)
    for index, line in enumerate(lines):
        _write(draw, LABELS - 8, TOP + ROW * (index + 0.5), line.label, "black", "rm")
    for index, column in enumerate(panels):
        _draw_panel(draw, LABELS + index * PANEL, lines, column)
    left = float(LABELS)
    for colour, text in LEGEND:
        _dot(draw, left, height - BOTTOM / 2, 4, colour)
        _write(draw, left + 9, height - BOTTOM / 2, text, "#555555", "lm")
        left += 30 + ImageFont.load_default(FONT_SIZE).getlength(text)
    with atomic_path(path) as temporary:
        picture.reduce(SMOOTH).save(temporary)
    return True


def _draw_panel(
    draw: ImageDraw.ImageDraw, left: float, lines: Sequence[Line], column: Sequence[Cell]
) -> None:
    values = [value for cell in column for value in cell.values]
    low, high = min(values), max(values)
    metric, bottom = column[0].column.measured, TOP + ROW * len(lines)

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return left + MARGIN + share * (PANEL - 2 * MARGIN - 10)

    better = "higher" if metric.higher_is_better else "lower"  # the font has no arrows
    _write(draw, left + 4, 8, f"{metric.label}, {better} is better", "black", "lm")
    ends = ((low, "lm"), (high, "rm")) if high > low else ((low, "mm"),)
    for value, anchor in ends:
        _write(draw, place(value), 24, format(value, metric.digits), "#555555", anchor)
    frame = (left, TOP, left + PANEL - 10, bottom)
    draw.rectangle([SMOOTH * edge for edge in frame], outline="#bbbbbb", width=SMOOTH)
    for index, (line, cell) in enumerate(zip(lines, column, strict=True)):
        is_baseline = (line.run, line.steps) == (BASELINE, BASELINE_STEPS)
        if is_baseline and cell.mean is not None:
            across = place(cell.mean) * SMOOTH
            draw.line([(across, TOP * SMOOTH), (across, bottom * SMOOTH)], "#bbbbbb", SMOOTH)
        colour = {True: AGREES, False: DIFFERS, None: UNKNOWN}[cell.agrees]
        colour = "black" if is_baseline else colour
        down = TOP + ROW * (index + 0.5)
        for value in cell.values:
            _dot(draw, place(value), down, 2, colour)
        if cell.values:
            _dot(draw, place(statistics.fmean(cell.values)), down, 4, colour)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: str) -> None:
    draw.circle((x * SMOOTH, y * SMOOTH), radius * SMOOTH, colour)


def _write(
    draw: ImageDraw.ImageDraw, x: float, y: float, text: str, colour: str, anchor: str
) -> None:
    font = ImageFont.load_default(FONT_SIZE * SMOOTH)
    draw.text((x * SMOOTH, y * SMOOTH), text, colour, font, anchor=anchor)


def draw_strip(data: Path, shown: Sequence[tuple[str, EvaluationResult, int]], path: Path) -> None:
    """Draw the first test clips: the reference, what was made of it, and the truth.

    `shown` are titles, each with an evaluation and the number of steps whose frames are taken.
    """
    folders = {title: _predictions(result, steps) for title, result, steps in shown}
    videos = open_dataset("dance", data).videos
    for folder in folders.values():
        videos = narrow_videos(videos, folder)
    videos = videos[:SHOWN_CLIPS]
    made = {title: [_made(folder, v) for v in videos] for title, folder in folders.items()}
    height, width = next(iter(made.values()))[0].shape[1:3]
    columns = {
        "reference": [_true(v, [v.reference_index], height, width) for v in videos],
        **made,
        "truth": [_true(v, v.scored_indices, height, width) for v in videos],
    }
    write_strip(path, columns)


def _predictions(result: EvaluationResult, steps: int) -> Path:
    ending = f", {steps} step{'s' if steps > 1 else ''}"
    return Path(next(row.source for row in result.rows if row.name.endswith(ending)))


def _made(folder: Path, video: TestVideo) -> Frames:
    source = list_sources(folder)[video.name]
    return np.stack(list(source.frames(range(source.num_frames))))


def _true(video: TestVideo, indices: Sequence[int], height: int, width: int) -> Frames:
    frames = video.truth.frames(indices)
    return np.stack([fit_frame(frame, height, width, "squash") for frame in frames])
