from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from dancelcm_cli.console import RichProgress, print_error, print_json, print_result, print_table


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, legacy_windows=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_tracking_yields_the_items_unchanged(count: int) -> None:
    progress = RichProgress(terminal())
    assert list(progress.track(range(count), "of known length")) == list(range(count))
    generated = (number for number in range(count))
    assert list(progress.track(generated, "of unknown length")) == list(range(count))


def test_a_bar_shows_how_much_is_done_and_the_last_note() -> None:
    console = terminal()
    with RichProgress(console).task("training", total=4, completed=1) as advance:
        advance(2, "loss 0.5")
    assert "training" in shown(console)
    assert "3/4" in shown(console)
    assert "loss 0.5" in shown(console)


def test_a_long_note_is_cut_before_anything_else() -> None:
    console = Console(file=io.StringIO(), width=80)
    with RichProgress(console).task("training", total=4) as advance:
        advance(4, "loss 0.5  " * 20)
    assert {"training", "4/4", "0:00:00"} <= set(shown(console).split())


def test_a_bar_of_bytes_shows_sizes_and_speed() -> None:
    console = Console(file=io.StringIO(), width=100)
    with RichProgress(console).task("i3d", total=47_000_000, unit="bytes") as advance:
        advance(12_000_000, "")
        advance(35_000_000, "example.org")
    assert {"47.0/47.0", "MB", "example.org"} <= set(shown(console).split())
    assert re.search(r"MB [\d.]+ [kMGTP]?B/s|MB \?", shown(console))


def test_what_is_lost_again_is_taken_off_the_bar() -> None:
    console = Console(file=io.StringIO(), width=100)
    with RichProgress(console).task("i3d", total=4_000, unit="bytes") as advance:
        advance(3_000, "")
        advance(-2_000, "")
    assert "1.0/4.0 kB" in shown(console)


def test_inner_bars_make_way_and_outer_bars_stay() -> None:
    console = Console(file=io.StringIO(), width=100)  # no terminal: printed once, at the end
    progress = RichProgress(console)
    for _ in progress.track(["one"], "videos"):
        list(progress.track([1, 2], "frames"))
    assert shown(console).count("videos") == 1
    assert "frames" not in shown(console)


def test_bars_follow_one_another() -> None:
    console = Console(file=io.StringIO(), width=100)
    progress = RichProgress(console)
    list(progress.track([1], "first"))
    list(progress.track([1], "second"))
    assert [line.split()[0] for line in shown(console).splitlines()] == ["first", "second"]


def test_a_bar_ends_when_the_work_fails() -> None:
    progress = RichProgress(terminal())
    with pytest.raises(ZeroDivisionError), progress.task("work", total=1):
        raise ZeroDivisionError
    assert list(progress.track([1], "again")) == [1]


def run_terminal(width: int = 100) -> Console:
    file = io.StringIO()
    return Console(file=file, force_terminal=True, force_interactive=True, record=True, width=width)


def last_picture(console: Console) -> list[str]:
    """The words and numbers of what a terminal shows in the end."""
    text = console.export_text()
    return text[text.rindex("Training") :].split()


ROW = {"loss": 0.25, "gradient_norm": 1.5, "peak_memory_gib": 3.125}
VALIDATION = {"psnr_reference": 20.5, "psnr_1": 18.25, "psnr_teacher": 21.75, "spread_1": 0.875}


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_run_is_shown_by_its_newest_figures(width: int) -> None:
    console = run_terminal(width)
    with RichProgress(console).run(200, completed=10) as display:
        display.row(20, {"loss": 9.0})
        display.row(30, ROW)
        display.validation(30, {"psnr_1": 1.0})
        display.validation(40, VALIDATION)
        display.step(41, {"loss": 0.0625})
    shown = last_picture(console)
    assert {"41/200", "0.0625", "1.5", "3.125"} <= set(shown)
    assert "9" not in shown and "0.25" not in shown
    table = shown[shown.index("at") :]
    assert table[:6] == ["at", "step", "40", "reference", "1", "teacher"]
    assert table[-6:] == ["psnr", "20.50", "18.25", "21.75", "spread", "0.8750"]


@pytest.mark.parametrize(("losses", "said"), [({}, True), ({"loss": 1.0}, False)])
def test_a_step_that_was_skipped_is_said_until_the_next(
    losses: dict[str, float], said: bool
) -> None:
    console = run_terminal()
    with RichProgress(console).run(4) as display:
        display.step(1, {})
        display.step(2, losses)
    assert ("skipped)" in last_picture(console)) == said


def test_a_run_that_is_interrupted_gives_the_terminal_back() -> None:
    console = run_terminal()
    progress = RichProgress(console)
    with pytest.raises(KeyboardInterrupt), progress.run(4) as display:
        display.step(1, {"loss": 1.0})
        raise KeyboardInterrupt
    written = shown(console)
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1  # the cursor is back
    assert list(progress.track([1], "again")) == [1]


def test_a_note_during_a_run_stands_above_its_table() -> None:
    console = run_terminal()
    progress = RichProgress(console)
    with progress.run(4) as display:
        display.step(1, {"loss": 1.0})
        progress.note("hot")
    written = shown(console)
    assert written.count("hot") == 1
    assert written.index("hot") < written.rindex("Training")


def test_a_run_in_a_log_is_a_line_for_each_row_and_validation() -> None:
    console = Console(file=io.StringIO(), width=40)
    with RichProgress(console).run(40, completed=10) as display:
        for done in range(11, 21):
            display.step(done, {"loss": 1.0})
        display.row(20, ROW)
        display.validation(20, VALIDATION)
        display.step(21, {})
    row, validation, skipped = shown(console).splitlines()
    assert row.startswith("step 20/40  ")
    assert row.endswith(" left  loss 0.25  gradient_norm 1.5  peak_memory_gib 3.125")
    assert validation.startswith("validation at step 20  psnr_reference 20.5  psnr_1 18.25")
    assert skipped == "step 21/40  loss not finite, step skipped"


def test_notes_are_printed_as_they_are() -> None:
    console = terminal()
    RichProgress(console).note("[red]clip[/red] left out: no person")
    assert shown(console) == "[red]clip[/red] left out: no person\n"


def test_long_paths_stay_in_one_line_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/very/long/path" * 20
    print_result({"video": path, "seconds": "1.5"})
    assert capsys.readouterr() == (f"video    {path}\nseconds  1.5\n", "")


def test_json_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"path": "/a/very/long/path" * 20, "sizes": [1, None, "[red]"]}
    print_json(value)
    assert json.loads(capsys.readouterr().out) == value


def test_only_numbers_stand_on_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("net", "it", 1), ("network", "something", 100)]
    print_table("", ["name", "purpose", "size"], rows, text_columns=2)
    lines = capsys.readouterr().out.splitlines()
    first = next(line for line in lines if "net " in line)
    longer = next(line for line in lines if "network" in line)
    assert first.index("it") == longer.index("something")
    assert first.rindex("1") == longer.rindex("0")


def test_a_table_shows_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Scores", ["", "PSNR"], [("student", "21.2"), ("[teacher]", "22.0")])
    out = capsys.readouterr().out
    assert {"Scores", "PSNR", "student", "21.2", "[teacher]", "22.0"} <= set(out.split())


def test_a_table_wider_than_the_terminal_loses_no_digit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_table("Scores", ["method", *"abcdefgh"], [["student", *["0.123456"] * 8]])
    assert capsys.readouterr().out.count("0.123456") == 8


def test_an_error_without_a_hint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("It broke.")
    assert capsys.readouterr().err == "error: It broke.\n"
