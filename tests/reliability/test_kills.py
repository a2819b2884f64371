"""Nothing finished is lost: stages that are killed and resumed leave what undisturbed ones do.

`python -m tests.reliability.kill_table` does the same at length.
"""

from __future__ import annotations

import random
import signal
from itertools import cycle
from pathlib import Path
from typing import get_args

import psutil
import pytest

from tests.reliability.conftest import Undisturbed
from tests.reliability.killing import At, kill_and_resume, start
from tests.reliability.stages import NAMES, Stage

KILLS = 3
SEED = 9


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "at"), [*zip(NAMES, cycle(get_args(At)))], indirect=["stage"])
def test_a_killed_and_resumed_stage_leaves_what_an_undisturbed_one_leaves(
    stage: Stage, at: At, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    whole, usual = undisturbed.left_by(stage.name), undisturbed.seconds(stage.name)
    moments = random.Random(f"{SEED} {stage.name}")
    toll = kill_and_resume(stage, tmp_path / "killed", whole, usual, KILLS, moments, at)
    assert toll.differences == []
    assert toll.starts > 1 or toll.kills == 0


@pytest.mark.slow
def test_the_workers_of_a_killed_process_end_with_it(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    arguments = undisturbed.stages["preprocess"].command
    command = start(tmp_path / "here", *arguments, "--workers", "2")
    assert command.wait_for("out/.pending/*.safetensors")
    workers = psutil.Process(command.pid).children(recursive=True)
    command.signal(signal.SIGKILL)  # to none of them
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert len(workers) >= 2 and not alive
