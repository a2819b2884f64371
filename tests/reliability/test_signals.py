"""Ctrl-C and SIGTERM: what is done is kept, the exit code is 130, and what is shown to type works.

A terminal sends Ctrl-C to all processes of a command; SIGTERM comes to the first of them alone.
"""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

import pytest

from tests.reliability.conftest import Undisturbed
from tests.reliability.killing import Command, run_command, start
from tests.reliability.stages import NAMES, Stage, contents

pytestmark = pytest.mark.slow
INTERRUPTED = 130
SHOWN = re.compile(r"^hint: .* with: dancelcm (.*)$", re.MULTILINE)
# What lies in the folder once there is something to lose.
BEGUN = {
    "preprocess": "out/.pending/*.safetensors",
    "train": "out/checkpoints/step-*",
    "distill": "out/checkpoints/step-*",
    "animate": "dance-unfinished.safetensors",
    "evaluate": "out/predictions/*/0",
}
# An interrupted run has a checkpoint of its own, for which another one may have had to go.
OF_THE_STOP = re.compile(r"out/checkpoints/step-\d+/.*")


def stop(command: Command, number: signal.Signals) -> bool:
    """Send the signal; tell whether the command was not done before."""
    if number == signal.SIGINT:
        command.signal_all(number)
    else:
        command.signal(number)
    code = command.wait()
    assert code in (0, INTERRUPTED), command.said
    assert "Traceback" not in command.said
    return code == INTERRUPTED


def shown_command(command: Command) -> list[str]:
    """Return the arguments of the command that goes on."""
    found = SHOWN.search(command.said)
    assert found, command.said
    return shlex.split(found[1])


def result(left: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in left.items() if not OF_THE_STOP.fullmatch(name)}


@pytest.mark.parametrize("stage", NAMES, indirect=True)
def test_an_interrupted_stage_says_how_it_goes_on_and_does(
    stage: Stage, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for attempt in range(5):  # a busy machine may look when all is done
        folder = tmp_path / str(attempt)
        command = start(folder, *stage.command)
        if command.wait_for(BEGUN[stage.name]) and stop(command, signal.SIGINT):
            break
    else:
        pytest.fail("it was always done before the signal came")
    command = start(folder, *shown_command(command))
    if command.wait_for_start() and stop(command, signal.SIGTERM):
        run_command(folder, *shown_command(command))
    assert result(contents(folder)) == result(undisturbed.left_by(stage.name))


def test_an_evaluation_into_a_folder_of_its_own_choice_says_which(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    arguments = undisturbed.stages["evaluate"].command[:-2]  # all but --output
    command = start(tmp_path / "here", *arguments)
    assert command.wait_for("runs/evaluate-*/predictions") and stop(command, signal.SIGTERM)
    going_on = shown_command(command)
    assert going_on[:-1] == [*arguments, "--output"]
    run_command(tmp_path / "here", *going_on)
    assert (tmp_path / "here" / going_on[-1] / "report.html").is_file()


@pytest.mark.parametrize("name", ["train", "animate"])
def test_what_is_interrupted_before_it_begins_is_typed_again(
    undisturbed: Undisturbed, tmp_path: Path, name: str
) -> None:
    stage = undisturbed.stages[name]
    command = start(tmp_path / "here", *stage.command)
    assert command.wait_for_start() and stop(command, signal.SIGTERM)
    going_on = tuple(shown_command(command))
    assert going_on == stage.next_command(tmp_path / "here")
