from __future__ import annotations

from pathlib import Path

import pytest

from dancelcm_cli.doctor.machine import check_disk, check_memory, check_python, existing_part

GB = 10**9


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10, 9), "fail"), ((3, 11, 0), "ok"), ((4, 0, 0), "ok")]
)
def test_python_must_be_young_enough(version: tuple[int, int, int], state: str) -> None:
    check = check_python(version, "/usr/bin/python")
    assert check.state == state
    assert bool(check.fix) == (state != "ok")


def test_the_less_memory_the_worse() -> None:
    states = [check_memory(16 * GB, free * GB).state for free in (1, 2, 8)]
    assert states == ["fail", "warn", "ok"]


def test_the_less_disk_the_worse() -> None:
    checks = [check_disk("disk", Path("/data"), free, 20 * GB) for free in (10**6, GB, 30 * GB)]
    assert [check.state for check in checks] == ["fail", "warn", "ok"]
    assert checks[1].found == "1.0 GB free in /data"


def test_a_folder_that_is_not_there_yet_lies_in_one_that_is(tmp_path: Path) -> None:
    assert existing_part(tmp_path / "a" / "b") == tmp_path
    assert existing_part(tmp_path) == tmp_path
