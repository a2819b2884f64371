"""What is published: which versions it asks for, and that it works where there is no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from dancelcm_cli import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIREMENTS = [
    *PROJECT["project"]["dependencies"],
    *(line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines),
]
BUILD_REQUIREMENTS = PROJECT["build-system"]["requires"]
LARGEST = 100 * 2**20  # bytes: what PyPI takes as one file
ASSETS = ("blazepose", "samples", "tiny")  # of those beside the package, which a wheel holds
LICENCES = (
    f"dancelcm-{__version__}.dist-info/licenses/LICENSE",
    "dancelcm_cli/assets/blazepose/LICENSE",
    "dancelcm_cli/assets/blazepose/NOTICE.md",
    "dancelcm_cli/assets/samples/LICENSE-sports2d.txt",
)
LITTER = re.compile(r"__pycache__|\.pyc$|\.tmp-|\.(mypy|pytest|ruff)_cache|\.hypothesis|\.git/")


@pytest.mark.parametrize("line", [*REQUIREMENTS, *BUILD_REQUIREMENTS])
def test_every_dependency_has_a_lowest_version(line: str) -> None:
    bounds = [bound for bound in Requirement(line).specifier if bound.operator == ">="]
    assert len(bounds) == 1, f"{line} must have one lower bound"
    assert Version(bounds[0].version) > Version("0")


def test_what_two_extras_share_has_the_same_bounds_in_both() -> None:
    asked: dict[str, set[str]] = {}
    for requirement in map(Requirement, REQUIREMENTS):
        asked.setdefault(requirement.name, set()).add(str(requirement.specifier))
    assert not [name for name, bounds in asked.items() if len(bounds) > 1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the source distribution, and with the wheel that was made of it alone."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.mark.slow
def test_a_wheel_holds_the_package_with_its_assets_and_licences_and_nothing_else(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names} == {
        "dancelcm_cli",
        f"dancelcm-{__version__}.dist-info",
    }
    package = {f"dancelcm_cli/{path}" for path in files(ROOT / "dancelcm_cli")}
    assets = {
        f"dancelcm_cli/assets/{folder}/{path}"
        for folder in ASSETS
        for path in files(ROOT / "assets" / folder)
    }
    assert {name for name in names if name.startswith("dancelcm_cli/")} == package | assets
    assert names >= set(LICENCES)
    assert wheel.stat().st_size < LARGEST, f"{wheel.stat().st_size / 2**20:.0f} MiB"


@pytest.mark.slow
def test_a_source_distribution_holds_all_that_a_wheel_and_the_tests_need(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert not [name for name in names if LITTER.search(name)]
    for folder in ("dancelcm_cli", "tests", *(f"assets/{name}" for name in ASSETS)):
        assert {f"{folder}/{path}" for path in files(ROOT / folder)} <= names
    assert {"README.md", "LICENSE", "pyproject.toml"} <= names
    assert source.stat().st_size < LARGEST, f"{source.stat().st_size / 2**20:.0f} MiB"


@pytest.mark.slow
def test_a_wheel_animates_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    samples = installed / "dancelcm_cli" / "assets" / "samples"
    script = """
import sys
import dancelcm_cli
assert dancelcm_cli.__file__.startswith(sys.argv.pop(1)), dancelcm_cli.__file__
from dancelcm_cli.app import main
main()
"""
    arguments = ["animate", str(samples / "reference.png"), str(samples / "driving.mp4")]
    done = subprocess.run(
        [sys.executable, "-c", script, str(installed), *arguments, "--steps", "1", "--frames", "2"],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in elsewhere.iterdir()} == {
        "reference-driving.json",
        "reference-driving.mp4",
    }


def files(folder: Path) -> set[str]:
    """Return the files below `folder` that somebody wrote, by their paths in it."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {path for path in paths if not LITTER.search(path)}
