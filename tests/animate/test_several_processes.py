"""Two processes on the CPU make what one makes, to the byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = [sys.executable]
TOGETHER = [*ALONE, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
SETTINGS = ["--recipe", "smoke", "--device", "cpu", "--format", "png"]

pytestmark = pytest.mark.slow


def animate(launcher: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*launcher, "-m", "dancelcm_cli", "animate", *map(str, arguments), *SETTINGS]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done


def pictures(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_they_share_the_windows_of_one_clip(
    photo: Path, dancer: Path, model: Path, tmp_path: Path
) -> None:
    common = (photo, dancer, "--model", model, "--frames", 24)  # of 4 and, moved on, 5 windows
    animate(ALONE, *common, "-o", tmp_path / "alone")
    said = animate(TOGETHER, *common, "-o", tmp_path / "together").stdout
    assert said.count("together.json") == 1  # the first one tells
    assert len(pictures(tmp_path / "alone")) == 24
    assert pictures(tmp_path / "together") == pictures(tmp_path / "alone")


def test_they_share_the_jobs_of_a_batch(
    photo: Path, dancer: Path, model: Path, tmp_path: Path
) -> None:
    rows = [f"{photo},{dancer},{seed},{seed}" for seed in range(3)]
    (tmp_path / "jobs.csv").write_text("\n".join(["reference,driving,output,seed", *rows]))
    common = ("--batch", tmp_path / "jobs.csv", "--model", model, "--frames", 2)
    animate(ALONE, *common, "-o", tmp_path / "alone")
    said = animate(TOGETHER, *common, "-o", tmp_path / "together").stdout
    assert said.count("done") == 3
    for seed in "012":
        assert pictures(tmp_path / "together" / seed) == pictures(tmp_path / "alone" / seed)
    assert animate(TOGETHER, *common, "-o", tmp_path / "together").stdout.count("skipped") == 3
