from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dancelcm_cli.animate.jobs import read_jobs
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import DanceLCMError, InputError

HEADER = ("reference", "driving", "output", "seed", "steps")
Read = Callable[..., list[Job]]


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads the jobs of a table written as text or rows."""

    def read(table: str | Sequence[Sequence[str]], folder: Path = tmp_path) -> list[Job]:
        path = tmp_path / "jobs.csv"
        if isinstance(table, str):
            path.write_text(table, encoding="utf-8", newline="")
        else:
            write_table(path, table)
        return read_jobs(path, folder, Model(tmp_path / "model"), Recipe(seed=5), None)

    return read


def test_a_row_is_a_job_and_paths_are_relative_to_the_table(read: Read, tmp_path: Path) -> None:
    first, second = read(
        "reference,driving,output,seed,steps\n"
        "ann.jpg,waltz.mp4,ann.mp4,,\n"
        "/abs/bob.jpg,../waltz.mp4,bob/waltz.gif,7, 8 \n"
    )
    base = (tmp_path / "ann.jpg", tmp_path / "waltz.mp4", tmp_path / "ann.mp4")
    assert (first.reference, first.driving, first.output) == base
    assert first.recipe == Recipe(seed=5)
    assert second.reference == Path("/abs/bob.jpg")
    assert second.driving == tmp_path / ".." / "waltz.mp4"
    assert (second.recipe.seed, second.recipe.animate.steps) == (7, 8)
    assert second.recipe.animate == replace(Recipe().animate, steps=8)


def test_seed_and_steps_may_be_missing_and_columns_in_any_order(read: Read) -> None:
    (job,) = read("\ufeffoutput,driving,reference\r\nme.mp4,dance.mp4,me.jpg\r\n\r\n")
    assert (job.output.name, job.driving.name, job.reference.name) == (
        "me.mp4", "dance.mp4", "me.jpg",
    )  # fmt: skip


NAMES = st.text(
    st.characters(exclude_characters="\0/\\", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name.strip() and name.strip(".") and not name.endswith("."))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reference=NAMES, driving=NAMES, output=NAMES)
def test_any_name_survives_the_table(
    read: Read, tmp_path: Path, reference: str, driving: str, output: str
) -> None:
    (job,) = read([HEADER[:3], (reference, driving, f"{output}.mp4")])
    names = (f"{reference}", driving, f"{output}.mp4")
    assert (job.reference, job.driving, job.output) == tuple(tmp_path / name for name in names)


@pytest.mark.parametrize(
    "output", ["../me.mp4", "a/../../me.mp4", "/elsewhere/me.mp4", "link/me.mp4", ".", "a/.."]
)
def test_nothing_is_written_outside_the_folder_of_the_batch(
    read: Read, tmp_path: Path, output: str
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"`output` in line 2 of .* must lie in") as caught:
        read([HEADER[:3], ("a.jpg", "b.mp4", output)], folder=inside)
    assert "--output" in caught.value.hint


def test_the_command_line_chooses_the_folder(read: Read, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for output in ("a/../me.mp4", str(elsewhere / "me.mp4")):
        (job,) = read([HEADER[:3], ("a.jpg", "b.mp4", output)], folder=elsewhere)
        assert job.output.resolve() == elsewhere / "me.mp4"
    read([HEADER[:3], ("a.jpg", "b.mp4", str(tmp_path / "me.mp4"))], folder=Path("/"))


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("", "columns of"),
        ("reference,driving\n", "columns of"),
        ("reference,driving,output,size\n", "got 'reference', 'driving', 'output', 'size'"),
        ("reference;driving;output\n", "got 'reference;driving;output'"),
        ("reference,driving,output,output\n", "columns of"),
        ("reference,driving,output\n", "must hold jobs, got none"),
        ("reference,driving,output\na,b\n", "Line 2 of .* a cell for each column"),
        ("reference,driving,output\na,b,c.mp4,d\n", "Line 2 of .* a cell for each column"),
        ('reference,driving,output\n"a,b,c.mp4\n', "must be a CSV file"),
        ("reference,driving,output\na, ,c.mp4\n", "`driving` in line 2 .* must be a path"),
        ("reference,driving,output\na,b\0,c.mp4\n", "must be"),
        ("reference,driving,output\na,b,c.mov\n", r"must be an \.mp4 file"),
        ("reference,driving,output,seed\na,b,c.mp4,-1\n", "`seed` in line 2 .* whole number"),
        (f"reference,driving,output,seed\na,b,c.mp4,{'9' * 5000}\n", "whole number .* got '9{40}'"),
        ("reference,driving,output,steps\na,b,c.mp4,two\n", "`steps` in line 2 .* whole number"),
        ("reference,driving,output,steps\na,b,c.mp4,0\n", r"animate\.steps must be at least 1"),
        ("reference,driving,output\na,b,c.mp4\na,b,d/../c.mp4\n", "once, .* lines 2 and 3"),
        ("reference,driving,output\na,b,c.mp4\na,b,c.webm\n", "once, .* lines 2 and 3"),
    ],
)
def test_a_table_with_a_mistake_is_refused_as_a_whole(
    read: Read, table: str, complaint: str
) -> None:
    with pytest.raises(DanceLCMError, match=complaint):
        read(table)


def test_a_table_that_is_missing_or_no_text_is_refused(read: Read, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"reference,driving,output\nZo\xeb,b,c.mp4\n")
    for name in ("missing.csv", "latin.csv", "."):
        with pytest.raises(InputError, match="must be a CSV file in UTF-8") as caught:
            read_jobs(tmp_path / name, tmp_path, Model(tmp_path), Recipe(), None)
        assert caught.value.hint
