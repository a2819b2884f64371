"""A page in the shard folder that shows what was kept and what was left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TypeVar

import numpy as np

from dancelcm_cli.data.atomic import write_text_atomic
from dancelcm_cli.data.clips import IndexRow
from dancelcm_cli.data.html_page import data_uri, page
from dancelcm_cli.data.shard_files import Shard, read_index
from dancelcm_cli.data.skipped import Skipped, read_skipped

REPORT = "report.html"
MOST_CLIPS = 120  # shown on the contact sheet, taken evenly from all of them
MOST_REJECTS = 24  # shown of each reason
BINS = 24  # of a histogram
BAR, CHART_HEIGHT = 12, 90  # pixels
STYLES = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
       color: #1c1c1e; background: #fff; }
h2 { margin-top: 2.5rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .8rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; }
figure { margin: 0; }
img { max-width: 100%; border-radius: .3rem; }
figcaption { font-size: .75rem; color: #555; overflow-wrap: anywhere; }
rect { fill: #3a6ea5; }
summary { cursor: pointer; margin: .6rem 0; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #18181a; } figcaption { color: #aaa; } rect { fill: #7fb0e0; }
}
"""
Item = TypeVar("Item")


def write_report(folder: Path) -> None:
    """Write `report.html` into a shard folder: one file that needs nothing from outside."""
    rows = read_index(folder)
    left_out = read_skipped(folder)
    body = (
        f"<h1>{escape(folder.name)}</h1>\n"
        f"<p>{len(rows)} clips kept, {len(left_out)} parts of videos left out.</p>\n"
        f'<h2>Figures</h2>\n<div class="charts">{"".join(_charts(rows))}</div>\n'
        f"<h2>Kept</h2>\n<p>{_share_shown(len(rows), MOST_CLIPS)} The skeleton and the face box"
        f' are drawn into the reference frame.</p>\n<div class="sheet">'
        f"{''.join(_kept(folder, evenly(rows, MOST_CLIPS)))}</div>\n"
        f"<h2>Left out</h2>\n{''.join(_rejects(folder, left_out))}"
    )
    write_text_atomic(folder / REPORT, page(f"{folder.name}: what was kept", body, STYLES, "", {}))


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most `most` of the items, in order and as far apart as they can be."""
    if len(items) <= most:
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


def histogram(title: str, values: Sequence[float], unit: str) -> str:
    """Return an SVG figure of how often which values occur."""
    if not values:
        return f"<figure><figcaption>{escape(title)}: no values</figcaption></figure>"
    counts, edges = np.histogram(values, bins=BINS)
    heights = counts / counts.max() * CHART_HEIGHT
    bars = "".join(
        f'<rect x="{BAR * place}" y="{CHART_HEIGHT - height:.1f}" width="{BAR - 1}"'
        f' height="{height:.1f}"><title>{low:.3g} to {high:.3g}: {count}</title></rect>'
        for place, (count, height, low, high) in enumerate(
            zip(counts, heights, edges, edges[1:], strict=False)
        )
    )
    spread = f"{min(values):.3g} to {max(values):.3g} {unit}, median {np.median(values):.3g}"
    return (
        f'<figure><svg width="{BAR * BINS}" height="{CHART_HEIGHT}" role="img">{bars}</svg>'
        f"<figcaption><b>{escape(title)}</b><br>{spread}</figcaption></figure>"
    )


def _charts(rows: Sequence[IndexRow]) -> Iterable[str]:
    def known(values: Iterable[float | None]) -> list[float]:
        return [value for value in values if value is not None]

    sides = [None if row.face_box is None else row.face_box[2] - row.face_box[0] for row in rows]
    yield histogram("Length", [row.num_frames / row.fps for row in rows], "seconds")
    yield histogram("Motion", known(row.motion_share for row in rows), "of the places")
    yield histogram("Face crop", known(sides), "pixels of the video")
    yield histogram("Confidence", known(row.confidence for row in rows), "mean body score")


def _kept(folder: Path, rows: Sequence[IndexRow]) -> Iterable[str]:
    shards: dict[str, Shard] = {}
    for row in rows:
        if row.shard not in shards:
            shards[row.shard] = Shard(folder / row.shard)
        thumbnail = shards[row.shard].tensors(row.clip_id).get("thumbnail")
        if thumbnail is not None:
            people = f", {row.people} people" if (row.people or 1) > 1 else ""
            caption = f"{row.source}, frame {row.start_frame}{people}"
            yield _figure(thumbnail.numpy().tobytes(), caption)


def _rejects(folder: Path, left_out: Sequence[Skipped]) -> Iterable[str]:
    reasons: dict[str, list[Skipped]] = defaultdict(list)
    for row in left_out:
        reasons[row.reason].append(row)
    for reason, rows in sorted(reasons.items()):
        figures = []
        for row in evenly(rows, MOST_REJECTS):
            time = "" if row.start is None else f", {row.start:.1f} to {row.end:.1f} s"
            picture = folder / row.thumbnail if row.thumbnail else None
            own = picture is not None and picture.is_file() and not picture.is_symlink()
            content = picture.read_bytes() if picture and own else b""
            figures.append(_figure(content, f"{row.source}{time}: {row.detail}"))
        yield (
            f"<details><summary><b>{escape(reason)}</b>: {len(rows)}."
            f" {_share_shown(len(rows), MOST_REJECTS)}</summary>"
            f'<div class="sheet">{"".join(figures)}</div></details>\n'
        )


def _figure(jpeg: bytes, caption: str) -> str:
    picture = f'<img alt="" src="{data_uri(jpeg, "image/jpeg")}">' if jpeg else ""
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>\n"


def _share_shown(number: int, most: int) -> str:
    return f"{most} of {number} are shown." if number > most else "All are shown."
