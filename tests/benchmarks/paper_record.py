"""What a folder of tables was made with: its settings, and each call that added to it."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dancelcm_cli.data.atomic import write_json_atomic
from dancelcm_cli.errors import InputError
from tests.benchmarks.bench_unet import machine
from tests.benchmarks.paper_runs import ROOT, Plan

Start = dict[str, str]


def claim(plan: Plan) -> None:
    """Record `plan` in its folder.

    Raises:
        InputError: The folder holds rows of other settings.
    """
    settings = {name: _plain(value) for name, value in asdict(plan).items() if name != "output"}
    record = plan.output / "plan.json"
    if not record.is_file():
        write_json_atomic(record, settings)
    earlier = json.loads(record.read_text())
    changed = sorted(key for key in settings if settings[key] != earlier.get(key))
    if changed:
        raise InputError(
            f"{plan.output} must hold rows of the same settings, got others of"
            f" {', '.join(changed)}.",
            hint="Choose another --output.",
        )


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def shown_plan(plan: Plan) -> dict[str, object]:
    """Return the settings as they are published: without this machine's folders."""
    settings = {name: _plain(value) for name, value in asdict(plan).items() if name != "output"}
    folders = {name: _shown(str(getattr(plan, name))) for name in ("shards", "teacher", "data")}
    return {**settings, **folders}


def _shown(word: str) -> str:
    """Return an argument, of an absolute path what is within the checkout, or else its name."""
    option, equals, value = word.rpartition("=")
    path = Path(value)
    if not path.is_absolute():
        return word
    inside = path.is_relative_to(ROOT)
    return f"{option}{equals}{path.relative_to(ROOT) if inside else path.name}"


def read_starts(plan: Plan) -> list[Start]:
    """Return the calls that have worked on the folder."""
    file = _starts_file(plan)
    return list(json.loads(file.read_text())) if file.is_file() else []


def note_start(plan: Plan, arguments: Sequence[str], commit: str | None) -> None:
    """Add this call to those that have worked on the folder."""
    words = ["python", "-m", "tests.benchmarks.paper_tables", *map(_shown, arguments)]
    start = {
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit or _commit(),
        "machine": machine("cuda" if plan.device == "cuda" else "cpu"),
        "command": shlex.join(words),
    }
    write_json_atomic(_starts_file(plan), [*read_starts(plan), start])


def _starts_file(plan: Plan) -> Path:
    return plan.output / "starts.json"


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit}, changed" if git("status", "--porcelain", "-uno") else commit
