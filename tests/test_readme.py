"""What the README tells a user to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from dancelcm_cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [line[4:].split("#")[0].strip() for line in README.splitlines() if line.startswith("    ")]
COMMANDS = [
    part.strip()
    for line in BLOCKS
    for part in line.split("&&")
    if part.strip().startswith("dancelcm ")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_of_the_readme_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, arguments)  # raises on an unknown option or argument


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!http)[^)]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_python_example_of_the_readme_names_what_exists() -> None:
    imports = [line for line in BLOCKS if line.startswith("from dancelcm_cli")]
    assert imports
    for line in imports:
        exec(line, {})


def test_the_checks_install_as_the_readme_says() -> None:
    (install,) = set(re.findall(r"pip install -e \S+", README))
    assert install.replace("pip install ", "pip install --quiet ") in (ROOT / ".ci/run").read_text()
