"""The page in a real browser: Chromium, where there is one."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.config.schema import EvaluateConfig, MetricName, Recipe
from dancelcm_cli.evaluate.candidates import REPEATED_REFERENCE, repeat_reference, show_predictions
from dancelcm_cli.evaluate.datasets import TestVideo, open_dataset
from dancelcm_cli.evaluate.frame_log import FRAME_LOG, join_frame_logs, open_frame_log
from dancelcm_cli.evaluate.protocol import DISCO_256
from dancelcm_cli.evaluate.results import EvaluationResult, ResultRow
from dancelcm_cli.evaluate.runner import evaluate_dataset
from dancelcm_cli.evaluate.scoring import VideoScores
from dancelcm_cli.evaluate.sources import list_sources
from dancelcm_cli.evaluate.web_report import MAX_VIDEOS, WEB_REPORT, write_web_report
from dancelcm_cli.progress import SilentProgress

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LEVELS = 12  # grey levels from one frame to the next
MARKUP = "<img src=x onerror=alert(1)>"  # the name of a video
NUM_FRAMES = 8

pytestmark = pytest.mark.slow


@dataclass
class Visit:
    """A page that was opened, and what went on meanwhile."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def level(self, pane: int) -> float:
        """The mean grey level of a pane's picture."""
        script = """(pane) => {
            const canvas = document.querySelectorAll("#panes canvas")[pane];
            const context = canvas.getContext("2d");
            const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.filter((_, i) => i % 4 === 0).reduce((a, b) => a + b)
                / (pixels.length / 4);
        }"""
        return float(self.page.evaluate(script, pane))

    def frame(self) -> str:
        return str(self.page.evaluate("document.body.dataset.frame"))

    def scrub(self, place: int) -> None:
        self.page.locator("#scrubber").fill(str(place))
        self.wait_for_frame(place)

    def wait_for_frame(self, place: int) -> None:
        self.page.wait_for_selector(f'body[data-frame="{place}"]')


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames whose grey level tells their index; the predictions are 40 levels brighter."""
    folder = tmp_path_factory.mktemp("report")
    for name, start in (("truth", 20), ("made", 60)):
        for video in ("dance", MARKUP):
            (folder / name / video).mkdir(parents=True)
            for index in range(NUM_FRAMES):
                level = np.full((32, 24, 3), start + LEVELS * index, np.uint8)
                Image.fromarray(level).save(folder / name / video / f"{index}.png")
    evaluate_dataset(
        open_dataset("folder", folder / "truth"),
        folder / "report",
        Recipe(evaluate=EvaluateConfig(height=16, width=16, metrics=("mae", "psnr"))),
        SilentProgress(),
        [folder / "made"],
    )
    return folder / "report" / WEB_REPORT


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, report: Path) -> Iterator[Visit]:
    with opened(browser, report) as found:
        yield found


@contextmanager
def opened(browser: Any, report: Path) -> Iterator[Visit]:
    found = Visit(browser.new_page())
    found.page.on("console", lambda message: found.console.append(message.text))
    found.page.on("pageerror", lambda error: found.console.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(report.as_uri())
    found.page.wait_for_selector("body[data-ready=yes]")
    yield found
    found.page.close()


def test_it_opens_from_a_file_without_an_error_or_a_request(visit: Visit, report: Path) -> None:
    assert visit.console == []
    outside = [url for url in visit.requests if not url.startswith("data:")]
    assert outside == [report.as_uri()]


def test_nothing_can_be_requested_even_by_its_own_script(visit: Visit) -> None:
    script = "fetch('http://127.0.0.1:9/').then(() => 'let through', () => 'refused')"
    assert visit.page.evaluate(script) == "refused"
    assert any("Content Security Policy" in line for line in visit.console)


def test_scrubbing_shows_exactly_the_same_frame_of_every_row(visit: Visit) -> None:
    for place in (5, 0, NUM_FRAMES - 1):
        visit.scrub(place)
        shown = [visit.level(pane) for pane in range(3)]
        expected = [20 + LEVELS * place, 20, 60 + LEVELS * place]  # truth, reference, made
        assert shown == pytest.approx(expected, abs=2)


def test_it_plays_and_stops(visit: Visit) -> None:
    visit.page.locator("#play").click()
    visit.wait_for_frame(3)
    visit.page.locator("#play").click()
    stopped = visit.frame()
    visit.page.wait_for_timeout(300)
    assert visit.frame() == stopped


def test_differences_are_shown_four_times_as_strong(visit: Visit) -> None:
    visit.page.locator("#difference").check()
    visit.scrub(2)
    assert [visit.level(pane) for pane in range(3)] == pytest.approx(
        [20 + LEVELS * 2, 4 * LEVELS * 2, 4 * 40], abs=6
    )


def test_a_click_on_a_curve_goes_to_that_frame(visit: Visit) -> None:
    curve = visit.page.locator("#plot .hit")
    curve.click(position={"x": curve.bounding_box()["width"] - 2, "y": 20})
    visit.wait_for_frame(NUM_FRAMES - 1)
    visit.page.locator("#metric").select_option(label="PSNR ↑")
    assert visit.page.locator("#plot polyline").count() == 2


def test_worst_frames_and_dots_lead_to_their_video(visit: Visit) -> None:
    assert visit.page.locator("#worst button").count() == 6
    visit.page.locator("#worst button").first.click()
    chosen = visit.page.evaluate("document.body.dataset.video")
    other = {"dance": MARKUP, MARKUP: "dance"}[chosen]
    dot = visit.page.locator("#strips circle:not(.chosen)").first
    dot.dispatch_event("click")
    visit.page.wait_for_selector(f'body[data-video="{other}"]')


def test_names_are_text_and_never_markup(visit: Visit) -> None:
    assert visit.page.locator("img").count() == 0
    assert visit.page.locator("#video option", has_text=MARKUP).count() == 1


def test_frames_are_shown_where_no_metric_has_values_of_frames(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    truth, made = (report.parents[1] / name for name in ("truth", "made"))
    videos = open_dataset("folder", truth).videos
    log = write_log(tmp_path)
    rows = [
        ResultRow(name, "", {}, scores_without(videos)) for name in (REPEATED_REFERENCE, "made")
    ]
    candidates = [repeat_reference(), show_predictions("made", "", list_sources(made))]
    write_web_report(found(rows, ("fvd",)), videos, candidates, log, tmp_path / WEB_REPORT)
    with opened(browser, tmp_path / WEB_REPORT) as visit:
        visit.scrub(5)
        assert visit.console == []
        assert visit.level(2) == pytest.approx(60 + LEVELS * 5, abs=2)


def test_a_video_in_which_no_candidate_has_a_value_is_not_among_the_worst(
    tmp_path: Path, write_videos: Callable[..., Path]
) -> None:
    """As where a face is found in the reference frame and in no frame of a prediction."""
    truth = write_videos(tmp_path / "truth", [1] * (MAX_VIDEOS + 1))
    videos = open_dataset("folder", truth).videos
    whole = tuple(VideoScores(video.name, 1, {"mae": 1.0}, 0) for video in videos)
    partly = (*scores_without(videos[:1]), *whole[1:])
    rows = [ResultRow(REPEATED_REFERENCE, "", {}, whole), ResultRow("made", "", {}, partly)]
    candidates = [repeat_reference(), show_predictions("made", "", list_sources(truth))]
    log, output = write_log(tmp_path), tmp_path / WEB_REPORT
    write_web_report(found(rows, ("mae",)), videos, candidates, log, output)
    options = output.read_text()
    assert f"the {MAX_VIDEOS} with the worst scores" in options
    assert options.count("data:image/jpeg") == 3 * MAX_VIDEOS
    assert options.count(f'"{videos[0].name}"') == 1  # among the names alone


def scores_without(videos: Sequence[TestVideo]) -> tuple[VideoScores, ...]:
    return tuple(VideoScores(video.name, NUM_FRAMES, {}, 0) for video in videos)


def write_log(folder: Path) -> Path:
    with open_frame_log(folder / "part"):
        pass
    join_frame_logs([folder / "part"], folder / FRAME_LOG)
    return folder / FRAME_LOG


def found(rows: Sequence[ResultRow], metrics: tuple[MetricName, ...]) -> EvaluationResult:
    return EvaluationResult(
        dataset="folder", split="all", root="", num_videos=len(rows[0].videos), num_frames=1,
        coverage=1, protocol=replace(DISCO_256, metrics=metrics), rows=tuple(rows), clips=None,
        weights={}, skipped={}, self_check=(), notes=(), environment={},
    )  # fmt: skip
