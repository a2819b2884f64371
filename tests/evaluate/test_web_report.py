"""The page in a real browser: Chromium, where there is one."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.config.schema import EvaluateConfig, Recipe
from dancelcm_cli.evaluate.datasets import open_dataset
from dancelcm_cli.evaluate.runner import evaluate_dataset
from dancelcm_cli.evaluate.web_report import WEB_REPORT
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
