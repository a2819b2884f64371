"""A page from the disk in a headless Chromium, and everything that went wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Opened:
    """A page, what its console said was wrong, and what it asked for besides itself."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def open_page(path: Path) -> Iterator[Opened]:
    """Open an HTML file; skips the test where playwright or a Chromium is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs a Chromium on the PATH")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = Opened(browser.new_page())
        page = opened.page
        page.on("pageerror", lambda error: opened.errors.append(str(error)))
        page.on(
            "console",
            lambda said: opened.errors.append(said.text) if said.type != "log" else None,
        )
        address = path.resolve().as_uri()
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url == address or asked.url.startswith("data:")
                else opened.requests.append(asked.url)
            ),
        )
        page.goto(address)
        yield opened
        browser.close()
