from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
import typer

from dancelcm_cli import __version__, errors
from dancelcm_cli.app import DEBUG_VARIABLE, app, main


def run(*arguments: str) -> None:
    main(lambda: app(list(arguments)))


def exit_code_of(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    return stop.value.code


def failing(error: BaseException) -> None:
    def command() -> None:
        raise error

    main(command)


@pytest.fixture(autouse=True)
def _no_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)


def test_version_is_a_result_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("--version") == 0
    assert capsys.readouterr() == (f"dancelcm  {__version__}\n", "")


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("--help") == 0
    commands = {"preprocess", "train", "distill", "animate", "evaluate"}
    assert commands <= set(re.findall(r"\w+", capsys.readouterr().out))


def test_an_unknown_option_exits_with_2() -> None:
    assert exit_code_of("animate", "--no-such-option") == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("It broke.", hint="Mend it."), 2),
        (errors.ConfigError("It broke.", hint="Mend it."), 2),
        (errors.WeightsMissingError("It broke.", hint="Mend it."), 3),
        (errors.OutOfMemoryError("It broke.", hint="Mend it."), 4),
        (errors.PartialFailureError("It broke.", hint="Mend it."), 5),
        (errors.InterruptedRunError("It broke.", hint="Mend it."), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_our_errors_become_a_message_a_hint_and_an_exit_code(
    error: errors.DanceLCMError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        failing(error)
    assert stop.value.code == code
    assert capsys.readouterr() == ("", "error: It broke.\nhint:  Mend it.\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 4),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), 4),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), 4),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_memory_and_interrupts_have_exit_codes_of_their_own(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        failing(error)
    assert stop.value.code == code
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_many_interrupted_processes_the_first_speaks(
    rank: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(SystemExit) as stop:
        failing(errors.InterruptedRunError("Stopped."))
    assert stop.value.code == 130
    said = capsys.readouterr().err
    assert said.startswith("error: Stopped.\n") if rank == "0" else not said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_command_works_is_told_with_what_to_type(
    number: signal.Signals,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["dancelcm", "work", "with spaces"])
    before = signal.getsignal(signal.SIGTERM)
    work = typer.Typer()  # which keeps Ctrl-C for itself, and says nothing
    work.command()(lambda: signal.raise_signal(number))
    with pytest.raises(SystemExit) as stop:
        main(lambda: work([]))
    assert stop.value.code == 130
    assert capsys.readouterr().err.endswith("hint:  Go on with: dancelcm work 'with spaces'\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interruption_that_a_library_calls_by_another_name_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise ImportError("cannot import name") from error

    with pytest.raises(SystemExit) as stop:
        main(work)
    assert stop.value.code == 130
    assert capsys.readouterr().err.startswith("error: Interrupted")


def test_pytorchs_own_out_of_memory_error_exits_with_4() -> None:
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    with pytest.raises(SystemExit) as stop:
        failing(caught.value)
    assert stop.value.code == 4


def test_an_unforeseen_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_debugging_keeps_the_traceback_of_our_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    with pytest.raises(errors.InputError):
        failing(errors.InputError("It broke."))


def test_python_dash_m_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dancelcm_cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"dancelcm  {__version__}\n"
