"""One folder, one writer: a second process is told who the first is, and the dead hold nothing.

That the lock of a killed process is taken over is tested with every kill of `test_kills.py`.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from dancelcm_cli.data.claim import claimed, claimed_name
from dancelcm_cli.data.weight_table import WEIGHTS
from tests.reliability.conftest import Undisturbed
from tests.reliability.killing import Command, start
from tests.reliability.stages import NAMES, Stage

REFUSED = 2


def refused(command: Command) -> str:
    """Wait for a command that must be refused; return what it said."""
    assert command.wait() == REFUSED, command.said
    return command.said


@pytest.mark.slow
@pytest.mark.parametrize("stage", NAMES, indirect=True)
def test_a_second_process_is_refused_with_the_pid_and_host_of_the_first(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "here"
    first = start(folder, *stage.command)
    assert first.wait_for("out/.lock.owner", "../cache/locks/[!.]*.owner")
    first.signal_all(signal.SIGSTOP)  # it will not be done before the second comes
    try:
        said = refused(Command(folder, stage.command, tmp_path / "second.log"))
    finally:
        first.signal_all(signal.SIGKILL)
    assert f"process {first.pid} on {socket.gethostname()}" in said
    assert f"kill {first.pid}" in said and f"dancelcm {stage.name} " in said


def test_fetched_weights_have_one_writer(tmp_path: Path, undisturbed: Undisturbed) -> None:
    file = WEIGHTS[0]
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / file.file_name).touch()
    arguments = ("models", "fetch", file.name, "--from", "copies", "--accept-licence", "-o", "kept")
    with claimed(tmp_path / "kept"):
        assert f"process {os.getpid()} on" in refused(start(tmp_path, *arguments))


def test_an_exported_file_has_one_writer(tmp_path: Path, undisturbed: Undisturbed) -> None:
    model = str(undisturbed.folder / "inputs" / "model")
    arguments = ("models", "export", model, "--format", "lora", "-o", "it.safetensors")
    with claimed_name(tmp_path / "it.safetensors"):
        assert f"process {os.getpid()} on" in refused(start(tmp_path, *arguments))
