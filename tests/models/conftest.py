"""Published files, small but in the real layouts, and the model folder that they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from dancelcm_cli.models.convert import convert
from dancelcm_cli.models.sources import find_sources
from dancelcm_cli.progress import SilentProgress
from tests.models.published import publish


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with UniAnimate's network, Stable Diffusion's checkpoint and OpenCLIP's file."""
    return publish(tmp_path_factory.mktemp("published") / "checkpoints")


@pytest.fixture(scope="session")
def converted(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of the published files; not to be changed."""
    folder = tmp_path_factory.mktemp("converted") / "model"
    convert(find_sources(published), folder, SilentProgress())
    return folder


@pytest.fixture(autouse=True)
def _nothing_fetched(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path_factory.mktemp("cache")))
