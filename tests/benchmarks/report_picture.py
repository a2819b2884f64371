"""The README's picture of a report.

    dancelcm evaluate --dataset dance --steps 2,4 --bounds --beyond --pose -o REPORT
    python -m tests.benchmarks.report_picture REPORT/report.html assets/report.png [--frame 9]

Needs `pip install playwright` and Debian's package chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1180, 1020  # pixels of the picture
METRIC = "SSIM ↑"
COLOURS = 256  # of the picture, so that it is small


def main(report: Path, picture: Path, frame: int) -> None:
    """Write what `report` shows below its tables, at the frame with that index."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("body[data-ready=yes]")
        page.locator("#scrubber").fill(str(frame))
        page.wait_for_selector(f'body[data-frame="{frame}"]')
        page.locator("#metric").select_option(label=METRIC)
        page.locator("h1").click()  # takes the focus from the controls
        top = page.get_by_role("heading", name="Frames", exact=True).bounding_box()["y"] - 20
        area = {"x": 0, "y": top, "width": WIDTH, "height": HEIGHT}
        shot = page.screenshot(full_page=True, clip=area)
        browser.close()
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--frame", type=int, default=9)
    arguments = parser.parse_args()
    main(arguments.report, arguments.picture, arguments.frame)
