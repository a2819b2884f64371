"""Names of files from strangers, in all that a person reads: web pages, Markdown, CSV, terminal."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import EvaluateConfig, Recipe
from dancelcm_cli.console import RichProgress, print_error, print_result, print_table
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.html_page import page
from dancelcm_cli.evaluate.datasets import open_dataset
from dancelcm_cli.evaluate.foreign_names import as_cell, as_code, as_markdown, from_cell
from dancelcm_cli.evaluate.report import write_report
from dancelcm_cli.evaluate.results import EvaluationResult
from dancelcm_cli.evaluate.runner import evaluate_dataset
from dancelcm_cli.evaluate.web_report import WEB_REPORT
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.preprocess.report import REPORT
from dancelcm_cli.progress import SilentProgress
from tests.chromium import Opened, open_page

MARK = "window.marker=1"
SCRIPT = f"<script>{MARK}</script>"  # as a path: a file in a folder
HOSTILE = (
    f"<script>{MARK}<",
    f'"><img src=x onerror={MARK}>',
    f"<iframe srcdoc='{MARK}'>",
    "</style\u2028<!--\u202e]]>".replace("/", ""),
    "=cmd|' /C calc'!A0".replace("/", ""),
    "[red]|pipe|`code`[/red]".replace("/", ""),
    "\x1b]0;title\x07\x1b[2J",
    "two\nlines",
    os.fsdecode(b"\xff\xfe"),
)
NO_UTF_8 = os.fsdecode(b"\xff\xfe")
PAGES = pytest.mark.slow


def marker(opened: Opened) -> object:
    return opened.page.evaluate("window.marker ?? null")


@pytest.mark.slow
@pytest.mark.parametrize("protected", [True, False])
def test_markup_that_nobody_escaped_runs_only_without_the_policy(
    tmp_path: Path, protected: bool
) -> None:
    body = f"{SCRIPT}<img src=x onerror='window.image=1'><img src='file:///etc/passwd'>"
    html = page("", body, "", "document.body.dataset.ready = 'yes'", {"name": SCRIPT})
    if not protected:
        html = re.sub('<meta http-equiv="Content-Security-Policy".*?>', "", html)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    with open_page(tmp_path / "page.html") as opened:
        opened.page.wait_for_selector('body[data-ready="yes"]')
        opened.page.wait_for_load_state("load")
        assert marker(opened) == (None if protected else 1)
        assert opened.page.evaluate("window.image ?? null") in (None, *([] if protected else [1]))
        assert opened.errors  # the browser tells of what it would not do, or could not load


@pytest.fixture(scope="module")
def shard_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a shard folder: one video that is kept, and many that are none."""
    folder = tmp_path_factory.mktemp("preprocess")
    kept = folder / "videos" / f"<script>{MARK}<" / "script>.mp4"
    kept.parent.mkdir(parents=True)
    for suffix in (".mp4", ".npz"):
        shutil.copy(bundled(f"samples/dance/10002{suffix}"), kept.with_suffix(suffix))
    for name in HOSTILE[1:]:
        (folder / "videos" / f"{name}.mp4").write_bytes(b"no video")
    recipe = load_recipe("smoke", ["device=cpu", "preprocess.num_frames=24"])
    output = folder / f'shards "><script>{MARK}<'
    preprocess_videos(folder / "videos", output, None, recipe, SilentProgress())
    return output / REPORT


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluationResult, Path]:
    """An evaluation of videos whose names, like the folder of predictions, mean harm."""
    folder = tmp_path_factory.mktemp("evaluate")
    made = folder / "made" / f'="{HOSTILE[1]}|'
    for place, level in ((folder / "truth", 90), (made, 120)):
        for name in HOSTILE:
            (place / name).mkdir(parents=True)
            for index in range(2):
                grey = np.full((32, 24, 3), level + index, np.uint8)
                Image.fromarray(grey).save(place / name / f"{index}.png")
    recipe = Recipe(evaluate=EvaluateConfig(height=16, width=16, metrics=("mae", "psnr")))
    dataset = open_dataset("folder", folder / "truth")
    output = folder / "report"
    return evaluate_dataset(dataset, output, recipe, SilentProgress(), [made]), output


def harmless(path: Path, ready: str = "body") -> Iterator[Opened]:
    with open_page(path) as opened:
        opened.page.wait_for_selector(ready)
        yield opened
        assert opened.errors == []
        assert opened.requests == []
        assert marker(opened) is None


@pytest.mark.slow
def test_a_shard_folders_page_shows_names_and_runs_none(shard_report: Path) -> None:
    for opened in harmless(shard_report):
        opened.page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        shown = opened.page.inner_text("body")
        assert f"{SCRIPT}.mp4, frame 0" in shown
        for name in HOSTILE[1:6]:
            assert " ".join(name.split()) in " ".join(shown.split())
        assert opened.page.locator("iframe, img[onerror], script[src]").count() == 0


@pytest.mark.slow
def test_an_evaluations_page_shows_names_and_runs_none(
    evaluated: tuple[EvaluationResult, Path],
) -> None:
    for opened in harmless(evaluated[1] / WEB_REPORT, 'body[data-ready="yes"]'):
        options = opened.page.locator("#video option").all_text_contents()
        assert [name.encode(errors="replace") for name in options] == [
            name.encode(errors="replace") for name in sorted(HOSTILE)
        ]
        for number in range(len(options)):
            opened.page.select_option("#video", str(number))
        opened.page.locator("#worst button").first.click()
        assert opened.page.locator("iframe, img[onerror], script[src]").count() == 0


def test_no_cell_of_a_csv_is_a_formula(evaluated: tuple[EvaluationResult, Path]) -> None:
    result, folder = evaluated
    table = folder / "per_video.csv"
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    names = [from_cell(row[1]) for row in rows]
    assert names == 2 * sorted(HOSTILE)
    assert {from_cell(row[0]) for row in rows} == {row.name for row in result.rows}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row[:2])


def test_no_two_names_become_one_cell() -> None:
    names = ["", "'", "''", "=", "'=", "''=", "-1", "'-1", "dance", "@", "\t"]
    assert [from_cell(as_cell(name)) for name in names] == names
    assert len({as_cell(name) for name in names}) == len(names)


def test_a_name_stays_in_its_cell_of_markdown(
    evaluated: tuple[EvaluationResult, Path],
) -> None:
    result, folder = evaluated
    lines = (folder / "report.md").read_text("utf-8", errors="surrogateescape").split("\n")
    table = [line for line in lines if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table[:4]}) == 1
    assert not any(re.search(r"(?<!\\)<(?!`)", re.sub("`.*?`", "", line)) for line in lines)
    assert any(as_markdown(result.rows[1].name) in line for line in table)


@pytest.mark.parametrize(
    ("text", "code"), [("a", "`a`"), ("a`b", "`` a`b ``"), ("``\n", "``` ``  ```")]
)
def test_code_ends_where_it_should(text: str, code: str) -> None:
    assert as_code(text) == code


@pytest.mark.parametrize("name", HOSTILE)
def test_a_terminal_shows_names_and_obeys_none(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_error(f"{name} must be a video.", f"Type {name}")
    print_result({"video": name})
    print_table(name, ["name"], [[name]])
    progress = RichProgress()
    progress.note(name)
    for _ in progress.track([1], name):
        pass
    with progress.task("Jobs", 1) as advance:
        advance(1, name)
    out, err = capsys.readouterr()
    for said in (out, err):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]", said)
        assert said.encode()  # any terminal can show it
    spelt = ascii(name)[1:-1] if not name.isprintable() else name
    assert out.count(spelt.replace("\\'", "'")) == 3
    assert len(out.splitlines()) == len(out.replace(spelt, "").splitlines())


def test_results_keep_names_whatever_their_bytes(
    evaluated: tuple[EvaluationResult, Path], tmp_path: Path
) -> None:
    result, _ = evaluated
    write_report(replace(result, root=NO_UTF_8), tmp_path)
    assert b"Truth: `\xff\xfe`" in (tmp_path / "report.md").read_bytes()
