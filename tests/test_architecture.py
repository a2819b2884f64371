"""The house rules of .github/CONTRIBUTING.md that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dancelcm_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = {
    "ahead": 0,
    "errors": -1,
    "interrupt": 0,
    "native_output": 0,
    "plain_files": 0,
    "progress": 0,
    "seeding": 0,
    "config": 1,
    "core": 2,
    "perception": 2,
    "data": 2,
    "preprocess": 3,
    "training": 3,
    "animate": 3,
    "evaluate": 3,
    "danceset": 3,
    "models": 3,
    "doctor": 3,
    "console": 3,
    "commands": 4,
    "app": 5,
    "__main__": 6,
}
STANDARD_LIBRARY_ONLY = {
    "ahead",
    "errors",
    "interrupt",
    "native_output",
    "plain_files",
    "progress",
    "seeding",
    "config",
}
HOMES = {  # third parties that only one room may know
    "rich": {"console"},
    "typer": {"app", "commands"},
    "av": {"data"},
    "imageio_ffmpeg": {"data"},
    "huggingface_hub": {"data"},
    "moderngl": {"danceset"},
}
UPSTREAM_NAMES = re.compile(r"dwpose_embedding|randomref")
PICKLE_HOMES = {PACKAGE / "data" / "pickles.py", PACKAGE / "data" / "pickled_arrays.py"}
UPSTREAM_HOME = PACKAGE / "core" / "teacher_keys.py"
DISTRIBUTIONS = {  # where the name to install is not the name to import
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
}


def room(module: Path) -> str:
    """The first part of a module's name below the package: its file or its folder."""
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            yield node.module or ""


def own_imports(module: Path) -> set[str]:
    names = (name.split(".") for name in imports(module))
    return {parts[1] for parts in names if parts[0] == "dancelcm_cli" and len(parts) > 1}


def third_parties(module: Path) -> set[str]:
    roots = {name.split(".")[0] for name in imports(module)}
    return roots - set(sys.stdlib_module_names) - {"dancelcm_cli"}


def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"), filename=str(module))


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


every_module = pytest.mark.parametrize("module", MODULES, ids=name_of)


@every_module
def test_a_module_imports_only_from_its_own_room_and_from_lower_layers(module: Path) -> None:
    own = room(module)
    if own == "__init__":
        assert not own_imports(module)
        return
    upward = {
        other for other in own_imports(module) if other != own and LAYERS[other] >= LAYERS[own]
    }
    assert not upward


@every_module
def test_third_parties_stay_in_their_homes(module: Path) -> None:
    own = room(module)
    if own in STANDARD_LIBRARY_ONLY:
        assert not third_parties(module)
    strays = {name for name in third_parties(module) if own not in HOMES.get(name, {own})}
    assert not strays


@every_module
def test_every_third_party_is_a_declared_dependency(module: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name != "dev"]
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    declared = {re.split(r"[<>=!~ ;\[]", line)[0] for line in lines}
    used = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in third_parties(module)}
    assert used <= declared


@every_module
def test_only_the_console_prints(module: Path) -> None:
    if room(module) == "console":
        return
    called = {
        ast.unparse(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)
    }
    assert not called & {"print", "typer.echo", "typer.secho", "sys.stdout.write"}


@every_module
def test_nothing_runs_foreign_code(module: Path) -> None:
    if module not in PICKLE_HOMES:
        assert "pickle" not in third_parties(module) | set(imports(module))
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {ast.unparse(keyword) for keyword in node.keywords}
            assert called not in {"os.system", "eval", "exec"}
            assert "shell=True" not in keywords
            if called == "torch.load":
                assert module in PICKLE_HOMES
                assert "weights_only=True" in keywords


@every_module
def test_upstreams_names_stay_in_their_one_module(module: Path) -> None:
    if module != UPSTREAM_HOME:
        assert not UPSTREAM_NAMES.search(module.read_text(encoding="utf-8"))


@every_module
def test_a_package_file_holds_a_docstring_and_imports_nothing(module: Path) -> None:
    assert ast.get_docstring(tree(module))
    if module.name == "__init__.py":
        assert not list(imports(module))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["animate", "--help"]])
def test_help_and_version_import_no_torch(arguments: list[str]) -> None:
    script = f"""
import sys
from dancelcm_cli.app import app
try:
    app({arguments!r})
except SystemExit as stop:
    assert not stop.code
sys.exit(", ".join({{"torch", "numpy", "diffusers", "transformers"}} & set(sys.modules)) or None)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
