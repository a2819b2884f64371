"""`report.html`: an evaluation to be looked at, in one file that asks for nothing from outside.

Frames come as sheets, JPEGs that hold all shown frames of a video: a browser draws the piece that
it needs, so that all videos stand at exactly the same frame.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from math import inf
from pathlib import Path

from PIL import Image

from dancelcm_cli.data.atomic import write_text_atomic
from dancelcm_cli.data.html_page import data_uri, page
from dancelcm_cli.evaluate.candidates import REFERENCE_ROWS, Candidate, true_frames
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.frame_log import Curves, read_curves
from dancelcm_cli.evaluate.metrics import Metric
from dancelcm_cli.evaluate.protocol import Frame, Protocol, life_size
from dancelcm_cli.evaluate.results import EvaluationResult
from dancelcm_cli.evaluate.tables import COST_NOTE, Table, cost_table, tables

WEB_REPORT = "report.html"
MAX_VIDEOS = 12  # that can be looked at: those with the worst scores
MAX_FRAMES = 60  # of each
LONG_SIDE = 240  # pixels of a shown frame
COLUMNS = 8  # of a sheet
QUALITY = 88
WORST_FRAMES, WORST_OF_VIDEO = 10, 3  # neighbours look alike


def write_web_report(
    result: EvaluationResult,
    videos: Sequence[TestVideo],
    candidates: Sequence[Candidate],
    log: Path,
    output: Path,
) -> None:
    """Write `result` as a page into `output`.

    Args:
        result: What was found.
        videos: The videos that were scored.
        candidates: What was compared with them, in the order of the rows.
        log: The scores of every frame.
        output: The file.

    Raises:
        InputError: A frame cannot be read.
    """
    metrics = [m for m in result.metrics if any(m.name in v.means for v in result.rows[0].videos)]
    shown = _worst_videos(result, metrics, videos)
    rows = [row.name for row in result.rows]
    curves = read_curves(log, [video.name for video in shown])
    frames = [_shown_frames(video) for video in shown]
    data = {
        "rows": rows,
        "metrics": [{"name": m.name, "label": m.label, "heading": m.heading} for m in metrics],
        "names": [video.name for video in result.rows[0].videos],
        "means": {
            m.name: [[v.means.get(m.name) for v in row.videos] for row in result.rows]
            for m in metrics
        },
        "videos": [
            _video(video, candidates, result.protocol, places, curves, metrics)
            for video, places in zip(shown, frames, strict=True)
        ],
        "worst": _worst_frames(shown, frames, rows, curves, metrics),
    }
    web = files("dancelcm_cli.evaluate") / "web"
    styles, script = ((web / name).read_text("utf-8") for name in ("report.css", "report.js"))
    title = f"Evaluation on {result.dataset}"
    body = "\n".join(_body(result, title, len(shown)))
    write_text_atomic(output, page(title, body, styles, script, data))


def _worst_videos(
    result: EvaluationResult, metrics: Sequence[Metric], videos: Sequence[TestVideo]
) -> list[TestVideo]:
    """Return the videos to be looked at, in their order: those that the candidates do worst in."""
    if len(videos) <= MAX_VIDEOS or not metrics:
        return list(videos[:MAX_VIDEOS])
    first = metrics[0]
    badness = {
        scores.name: max(
            (
                first.badness(row.videos[place].means[first.name])
                for row in result.rows
                if row.name not in REFERENCE_ROWS and first.name in row.videos[place].means
            ),
            default=-inf,
        )
        for place, scores in enumerate(result.rows[0].videos)
        if first.name in scores.means
    }
    worst = sorted(badness, key=lambda name: -badness[name])[:MAX_VIDEOS]
    return [video for video in videos if video.name in worst]


def _shown_frames(video: TestVideo) -> range:
    """Return which of the scored frames are shown, by their place among these."""
    count = len(video.scored_indices)
    return range(0, count, -(-count // MAX_FRAMES))


def _video(
    video: TestVideo,
    candidates: Sequence[Candidate],
    protocol: Protocol,
    places: range,
    curves: Curves,
    metrics: Sequence[Metric],
) -> dict[str, object]:
    sight = life_size(protocol, video.reference)
    scale = LONG_SIDE / max(sight.height, sight.width)
    sight = replace(sight, height=round(sight.height * scale), width=round(sight.width * scale))
    streams = [true_frames(video, sight), *(c.frames(video, sight) for c in candidates)]
    by_row = curves[video.name]
    return {
        "name": video.name,
        "frames": [video.scored_indices[place] for place in places],
        "width": sight.width,
        "height": sight.height,
        "columns": COLUMNS,
        "sheets": [_sheet(frames, places, sight) for frames in streams],
        "curves": {
            m.name: [sorted(by_row.get(c.name, {}).get(m.name, {}).items()) for c in candidates]
            for m in metrics
        },
    }


def _sheet(frames: Iterator[Frame], places: range, sight: Protocol) -> str:
    """Return the frames at `places`, side by side and in rows, as the address of a JPEG."""
    lines = -(-len(places) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * sight.width, lines * sight.height))
    chosen = (frame for place, frame in enumerate(frames) if place in places)
    for number, frame in enumerate(chosen):
        line, column = divmod(number, COLUMNS)
        sheet.paste(Image.fromarray(frame), (column * sight.width, line * sight.height))
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=QUALITY, subsampling=0)
    return data_uri(content.getvalue(), "image/jpeg")


def _worst_frames(
    shown: Sequence[TestVideo],
    frames: Sequence[range],
    rows: Sequence[str],
    curves: Curves,
    metrics: Sequence[Metric],
) -> list[dict[str, object]]:
    """Return the worst of the shown frames in the first metric, by video, row and index."""
    if not metrics:
        return []
    found = []
    for number, (video, places) in enumerate(zip(shown, frames, strict=True)):
        indices = {video.scored_indices[place] for place in places}
        for row, name in enumerate(rows):
            values = curves[video.name].get(name, {}).get(metrics[0].name, {})
            if name not in REFERENCE_ROWS:
                found += [(v, number, row, i) for i, v in values.items() if i in indices]
    found.sort(key=lambda item: (-metrics[0].badness(item[0]), item))
    taken: Counter[int] = Counter()
    worst: list[dict[str, object]] = []
    for value, number, row, index in found:
        taken[number] += 1
        if taken[number] <= WORST_OF_VIDEO:
            worst.append({"video": number, "row": row, "frame": index, "value": value})
    return worst[:WORST_FRAMES]


def _body(result: EvaluationResult, title: str, num_shown: int) -> Iterator[str]:
    protocol = result.protocol
    yield f"<h1>{escape(title)}</h1>"
    yield (
        f"<p>{escape(result.split)}: {result.num_videos} videos, {result.num_frames} frames of"
        f" {protocol.height} x {protocol.width} pixels; protocol {escape(protocol.name)}.</p>"
    )
    yield from (_table(table) for table in tables(result))
    if cost_table(result) is not None:
        yield f"<p>{escape(COST_NOTE)}</p>"
    if result.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
        yield f"<h2>Before comparing with the papers</h2><ul>{notes}</ul>"
    fewer = "" if num_shown == result.num_videos else f", the {num_shown} with the worst scores"
    yield f"""<h2>Frames{fewer}</h2>
<div class="controls"><select id="video" aria-label="Video"></select>
<button id="play">Play</button>
<input id="scrubber" type="range" min="0" value="0" aria-label="Frame"><span id="frame"></span>
<label><input id="difference" type="checkbox"> differences from the truth, four times</label></div>
<div id="panes"></div>
<h2>Frame by frame</h2>
<div class="controls"><select id="metric" aria-label="Metric"></select></div>
<svg id="plot" viewBox="0 0 920 170"></svg><div class="legend"></div>
<h2>Video by video</h2><div class="legend"></div><div id="strips" class="strips"></div>
<h2>Worst frames</h2><div id="worst"></div>
<p>Pictures are made smaller and compressed for this page: the numbers are of the frames.</p>"""


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(_cell(cell, (row, place) in table.best) for place, cell in enumerate(cells))
        + "</tr>"
        for row, cells in enumerate(table.rows)
    )
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _cell(text: str, best: bool) -> str:
    return f"<td><b>{escape(text)}</b></td>" if best else f"<td>{escape(text)}</td>"
