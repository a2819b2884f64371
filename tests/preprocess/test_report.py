from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.preprocess.report import REPORT, evenly, histogram, write_report
from dancelcm_cli.progress import SilentProgress
from tests.chromium import open_page

WriteAnnotated = Callable[..., Path]


@pytest.fixture
def shards(tmp_path: Path, model: Path, recipe: Recipe, write_annotated: WriteAnnotated) -> Path:
    """Three clips of two videos, a tail and a short video with markup in its name."""
    write_annotated(tmp_path / "videos" / "a.mp4", 9)
    write_annotated(tmp_path / "videos" / "b.mp4", 4)
    write_annotated(tmp_path / "videos" / "<b onclick=alert(1)>&.mp4", 3)
    preprocess_videos(tmp_path / "videos", tmp_path / "shards", model, recipe, SilentProgress())
    return tmp_path / "shards"


def test_a_report_shows_all_clips_and_all_reasons(shards: Path) -> None:
    html = (shards / REPORT).read_text(encoding="utf-8")
    assert "3 clips kept, 2 parts of videos left out" in html
    assert len(re.findall(r'<img alt="" src="data:image/jpeg;base64,', html)) == 5
    for text in ("a.mp4, frame 4", "b.mp4, frame 0", "<b>tail</b>: 1", "<b>too_short</b>: 1"):
        assert text in html
    assert html.count("<svg") == 4


def test_names_cannot_become_markup(shards: Path) -> None:
    html = (shards / REPORT).read_text(encoding="utf-8")
    assert "<b onclick" not in html
    assert "&lt;b onclick=alert(1)&gt;&amp;.mp4" in html


def test_the_record_tells_where_the_face_is(shards: Path) -> None:
    rows = ShardReader(shards).rows
    for row in rows:
        assert row.face_box is not None and row.people == 1
        left, top, right, bottom = row.face_box
        assert right - left == bottom - top > 0
        assert row.confidence == 1 and 0 < (row.motion_share or 0) < 1


def test_writing_it_again_changes_nothing(shards: Path) -> None:
    before = (shards / REPORT).read_bytes()
    write_report(shards)
    assert (shards / REPORT).read_bytes() == before


@pytest.mark.slow
def test_a_browser_shows_it_without_errors_or_requests(shards: Path) -> None:
    with open_page(shards / REPORT) as opened:
        assert opened.page.locator("img").count() == 5
        opened.page.locator("summary").first.click()
        assert opened.page.locator("details[open] img").first.evaluate("i => i.naturalWidth") > 0
        assert opened.page.locator("svg").first.is_visible()
        assert opened.page.locator("figure").first.bounding_box()["width"] > 50
    assert opened.errors == []
    assert opened.requests == []


def test_a_histogram_counts_every_value() -> None:
    svg = histogram("Length", [1.0, 1.0, 2.0, 4.0], "seconds")
    counts = [int(count) for count in re.findall(r": (\d+)</title>", svg)]
    assert sum(counts) == 4 and counts[0] == 2 and counts[-1] == 1
    assert "1 to 4 seconds, median 1.5" in svg
    assert "no values" in histogram("Length", [], "seconds")


@pytest.mark.parametrize("most", [1, 3, 10])
def test_a_choice_is_even_and_in_order(most: int) -> None:
    chosen = evenly(range(10), most)
    assert len(chosen) == most and chosen == sorted(set(chosen)) and chosen[0] == 0
    assert evenly(range(2), most)[: min(most, 2)] == list(range(2))[: min(most, 2)]
