from __future__ import annotations

import io

import pytest
from rich.console import Console

from dancelcm_cli.console import RichProgress, print_error, print_result, print_table


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


def test_notes_are_printed_as_they_are() -> None:
    console = terminal()
    RichProgress(console).note("[red]clip[/red] left out: no person")
    assert shown(console) == "[red]clip[/red] left out: no person\n"


def test_long_paths_stay_in_one_line_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/very/long/path" * 20
    print_result({"video": path, "seconds": "1.5"})
    assert capsys.readouterr() == (f"video    {path}\nseconds  1.5\n", "")


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
