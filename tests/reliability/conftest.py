"""What the five stages read, and what they leave undisturbed: made once for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.reliability.killing import measure
from tests.reliability.stages import Stage, contents, make_inputs


@dataclass
class Undisturbed:
    """The stages, and what each leaves when nobody disturbs it, made when it is asked for."""

    folder: Path
    stages: dict[str, Stage]
    _left: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)

    def left_by(self, name: str) -> dict[str, bytes]:
        """Return what a stage leaves."""
        if name not in self._left:
            folder = self.folder / name
            self._seconds[name] = measure(self.stages[name], folder)
            self._left[name] = contents(folder)
        return self._left[name]

    def seconds(self, name: str) -> float:
        """Return how long a stage took."""
        self.left_by(name)
        return self._seconds[name]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DANCELCM_CACHE", str(folder / "cache"))
        yield Undisturbed(folder, make_inputs(folder / "inputs"))


@pytest.fixture
def stage(request: pytest.FixtureRequest, undisturbed: Undisturbed) -> Stage:
    """The stage whose name a test is parametrised with."""
    return undisturbed.stages[request.param]
