"""The documents say what is there: commands, options, settings, messages, exit codes, modules."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from dancelcm_cli import errors
from dancelcm_cli.app import app
from dancelcm_cli.config.loading import load_recipe, setting_keys
from tests.command_pages import PAGE, Command, commands, page, parameters

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dancelcm_cli"
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
TROUBLESHOOTING = ROOT / ".github" / "TROUBLESHOOTING.md"
DOCUMENTS = (
    ROOT / "README.md",
    CONTRIBUTING,
    TROUBLESHOOTING,
    PAGE,
    PACKAGE / "config" / "README.md",
    PACKAGE / "training" / "README.md",
    PACKAGE / "data" / "README.md",
)
COMMANDS = list(commands())
FOREIGN_OPTIONS = {  # of pip, torchrun and pytest
    "--force-reinstall",
    "--no-deps",
    "--nproc-per-node",
}
EXAMPLE_KEYS = {"KEY", "section.key", "animate.stepz"}  # the last shows what a slip gives
ROOMS = [".", *sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))]
UNMAPPED = {"__init__.py", "__main__.py"}

every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.parent.name)


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


# The page of all commands


def test_the_page_of_commands_is_what_the_commands_declare() -> None:
    assert text_of(PAGE) == page(), "type: python -m tests.command_pages"


@every_command
def test_every_command_has_two_examples_that_can_be_typed(command: Command) -> None:
    assert len(command.examples) == 2
    for example in command.examples:
        assert example.startswith(command.name)
        parse(example)


@every_command
def test_every_help_text_is_a_sentence(command: Command) -> None:
    texts = [parameter.meaning for parameter in parameters(command)]
    texts.append(str(command.function.__doc__).partition("\n")[0])
    for text in texts:
        assert text[:1].isupper() or text.startswith(("--", "2 ", "upstream:")), text
        assert text.endswith("."), text


# Command lines, options and settings in documents


def parse(line: str) -> None:
    """Parse a line as the program does; raises where a command, option or choice is unknown."""
    _, *words = shlex.split(line)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("dancelcm", words)


def command_lines() -> Iterator[object]:
    for document in (TROUBLESHOOTING, PACKAGE / "training" / "README.md"):
        for line in re.findall(r"^    (dancelcm .+)$", text_of(document), re.MULTILINE):
            yield pytest.param(line.partition("  #")[0], id=line)


@pytest.mark.parametrize("line", list(command_lines()))
def test_every_command_line_can_be_typed(line: str) -> None:
    parse(line)


@every_document
def test_every_option_that_is_named_exists(document: Path) -> None:
    known = {"--help", "--version"} | FOREIGN_OPTIONS
    for command in COMMANDS:
        for parameter in parameters(command):
            known |= {name for names in parameter.names for name in names.split("/")}
    code = " ".join(re.findall(r"`[^`]+`", text_of(document)))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)) <= known


@every_document
def test_every_setting_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"--set\s+`?([\w.]+)=", text_of(document)))
    assert named <= settings() | EXAMPLE_KEYS


def test_every_setting_that_a_hint_names_exists() -> None:
    named = {key for template in templates() for key in re.findall(r"--set ([a-z_.]+)=", template)}
    assert named
    assert named <= settings()


def settings() -> set[str]:
    return set(setting_keys(load_recipe(None), ""))


# Messages


@cache
def templates() -> frozenset[str]:
    """Return every text in the code, with `…` for what is filled in."""
    found = set()
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(text_of(module))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                found.add("".join(map(str, parts)).replace("\n", " "))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value.replace("\n", " "))
    return frozenset(found)


@pytest.mark.parametrize(
    "message", re.findall(r"^### `(.+)`$", text_of(TROUBLESHOOTING), re.MULTILINE)
)
def test_every_message_of_the_troubleshooting_page_is_one_of_ours(message: str) -> None:
    assert any(message in template for template in templates())


def test_the_table_of_exit_codes_is_that_of_the_errors() -> None:
    told = set(map(int, re.findall(r"^\| (\d+) \|", text_of(TROUBLESHOOTING), re.MULTILINE)))
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DanceLCMError)
    }
    assert told == {0} | raised


# The map of modules


def mapped() -> dict[str, set[str]]:
    """Return the files by folder as CONTRIBUTING.md draws them; `.` is the package itself."""
    drawing = text_of(CONTRIBUTING).partition("### Map")[2].partition("This is a map")[0]
    folders: dict[str, set[str]] = {}
    here = "."
    for line in drawing.splitlines():
        folder = re.match(r" {6}(\w+)/", line)
        here = folder[1] if folder else here
        folders.setdefault(here, set()).update(re.findall(r"\w+\.py", line))
    return folders


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_names_the_modules_that_are_there(room: str) -> None:
    drawn = mapped()[room]
    modules = {path.name for path in (PACKAGE / room).glob("*.py")} - UNMAPPED
    if room == "commands":  # where one for each subcommand goes without saying
        modules &= drawn
    assert drawn == modules


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)", text_of(document)):
        assert (document.parent / link).exists(), link
