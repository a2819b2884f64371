"""The pure parts of the paper's tables: what is compared, how it is started, what is concluded."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.methods import method_settings
from dancelcm_cli.config.schema import Method, Recipe
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.candidates import REPEATED_REFERENCE
from tests.benchmarks.paper_charts import AGREES, DIFFERS, draw_table
from tests.benchmarks.paper_record import claim, note_start, read_starts, shown_plan
from tests.benchmarks.paper_rows import (
    BASELINE,
    BASELINE_STEPS,
    METRICS,
    PAPER_BASELINE,
    RUNS,
    Line,
    Run,
    Table,
    paper_tables,
    steps_of,
)
from tests.benchmarks.paper_runs import (
    Children,
    Job,
    Plan,
    RowFailed,
    Stopped,
    distill_command,
    evaluate_command,
)
from tests.benchmarks.paper_scores import STANDING, Scores, line_cells, signs_agree, table_cells
from tests.benchmarks.paper_tables import make_jobs, run_rows
from tests.benchmarks.paper_text import Course, agreement_text, as_json, cell_text, markdown

TABLES = paper_tables(teacher_steps=50)
BY_NAME = {run.name: run for run in RUNS}
BASE = (BASELINE, BASELINE_STEPS)
OTHER = Line("other", "videolcm", 4, {"psnr": 19.0})
OTHERS_TABLE = Table("table", "A table", (OTHER, Line("DanceLCM", *BASE, PAPER_BASELINE)))


def make_plan(folder: Path) -> Plan:
    shards, teacher = folder / "shards", folder / "teacher"
    return Plan(shards, teacher, folder / "data", folder / "output", 600, 16, 1.5, 50, "cpu")


def recipe_overrides(command: list[str]) -> list[str]:
    """Return what a command of `dancelcm distill` overrides in the recipe."""
    pairs = list(pairwise(command))
    methods = [method for method in get_args(Method) if ("--method", method) in pairs]
    flags = {"--segments": "distill.segments", "--steps": "distill.steps"}
    return [
        *method_settings(methods[0] if methods else None),
        *(value for word, value in pairs if word == "--set"),
        *(f"{flags[word]}={value}" for word, value in pairs if word in flags),
    ]


def recipe_of(command: list[str]) -> Recipe:
    """Return the recipe that a command of `dancelcm distill` resolves to."""
    return load_recipe("tiny", recipe_overrides(command))


def psnr_cells(ours: list[float], base: list[float]) -> str:
    scores = {("videolcm", 4): {"psnr": ours}, BASE: {"psnr": base}}
    return cell_text(line_cells(OTHER, scores)[METRICS.index("psnr")])


# --- what is compared ---


def test_every_line_shows_a_run_and_every_run_is_shown() -> None:
    shown = {line.run for table in TABLES for line in table.lines}
    assert shown == set(BY_NAME)


def test_every_table_holds_the_baseline_with_the_papers_figures_or_none() -> None:
    for table in TABLES:
        (baseline,) = (line for line in table.lines if (line.run, line.steps) == BASE)
        assert baseline.paper in (PAPER_BASELINE, None)


def test_a_run_is_evaluated_at_all_steps_of_all_tables() -> None:
    assert steps_of(BASELINE, TABLES) == [1, 2, 4, 8]
    assert steps_of("teacher", TABLES) == [4, 50]
    assert steps_of("pcm", TABLES) == [4]


def test_rows_get_the_same_budget(tmp_path: Path) -> None:
    plan = replace(make_plan(tmp_path), distill_settings=("distill.num_frames=4",))
    jobs = make_jobs(TABLES, [run.name for run in RUNS], [0], has_clip=True)
    recipes = [recipe_of(distill_command(plan, job)) for job in jobs if job.run.arguments]
    budgets = {
        (r.distill.steps, r.distill.batch_size, r.distill.num_frames, r.distill.guidance_scale)
        for r in recipes
    }
    assert budgets == {(600, 16, (4,), 1.5)}


@pytest.mark.parametrize(
    ("name", "removed", "kept"),
    [
        ("dancelcm-k1", "distill.segments=1", "distill.segments=2"),
        ("without-head", "distill.auxiliary_weight=0.0", "distill.auxiliary_weight=0.1"),
        ("without-motion", "distill.motion_weight=0.0", "distill.motion_weight=0.5"),
        ("without-face", "distill.face=none", "distill.face=vae"),
    ],
)
def test_an_ablation_differs_from_the_baseline_in_one_setting(
    tmp_path: Path, name: str, removed: str, kept: str
) -> None:
    without, full = (
        recipe_overrides(distill_command(make_plan(tmp_path), Job(BY_NAME[run], 0, (4,))))
        for run in (name, BASELINE)
    )
    assert load_recipe("tiny", without) != load_recipe("tiny", full)
    assert load_recipe("tiny", without) == load_recipe("tiny", [*full, removed])
    assert load_recipe("tiny", [*without, kept]) == load_recipe("tiny", full)


def test_what_makes_a_row_wins_over_what_the_user_sets(tmp_path: Path) -> None:
    plan = replace(make_plan(tmp_path), distill_settings=("distill.face=vae",))
    recipe = recipe_of(distill_command(plan, Job(BY_NAME["without-face"], 0, (4,))))
    assert recipe.distill.face == "none"


def test_the_teacher_alone_is_guided(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    teacher, student = (
        evaluate_command(plan, Job(BY_NAME[name], 0, (4,))) for name in ("teacher", BASELINE)
    )
    assert "animate.guidance_scale=1.5" in teacher
    assert "animate.guidance_scale=1.0" in student
    assert str(plan.teacher) in teacher and str(plan.teacher) not in student


def test_an_interrupted_run_is_resumed(tmp_path: Path) -> None:
    plan, job = make_plan(tmp_path), Job(BY_NAME["pcm"], 1, (4,))
    folder = plan.output / "runs" / "pcm-seed1"
    assert "--resume" not in distill_command(plan, job)
    folder.mkdir(parents=True)
    (folder / "run.json").touch()
    assert distill_command(plan, job)[-2:] == ["--resume", str(folder)]


def test_rows_come_seed_by_seed_and_clips_only_where_it_is() -> None:
    jobs = make_jobs(TABLES, ["pcm", "teacher", "face-clip"], [3, 4], has_clip=False)
    assert [job.name for job in jobs] == [
        "teacher-seed3",
        "pcm-seed3",
        "teacher-seed4",
        "pcm-seed4",
    ]
    assert "face-clip-seed3" in [
        job.name for job in make_jobs(TABLES, ["face-clip"], [3], has_clip=True)
    ]


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    claim(plan)
    claim(plan)
    with pytest.raises(InputError, match="others of device, steps"):
        claim(replace(plan, steps=2, device="cuda"))


def test_the_machines_folders_are_not_published(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    note_start(plan, [f"--data={plan.data}", "--teacher", str(plan.teacher)], commit="abc")
    assert str(tmp_path) not in str([shown_plan(plan), read_starts(plan)])
    assert read_starts(plan)[0]["command"].endswith("--data=data --teacher teacher")


# --- how it is run ---


def test_a_failing_command_tells_the_tail_of_its_log(tmp_path: Path) -> None:
    script = "import sys; print(*range(99), sep='\\n'); sys.exit('the reason')"
    with pytest.raises(RowFailed, match="exit code 1") as failure:
        Children(1).run([sys.executable, "-c", script], tmp_path / "log")
    text = str(failure.value)
    assert "98" in text and "the reason" in text and "\n50\n" not in text


def test_a_stop_lets_a_command_save_and_starts_no_other(tmp_path: Path) -> None:
    children, log, ready = Children(1), tmp_path / "log", tmp_path / "ready"
    script = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('saved') or 130))\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)"
    )

    def stop() -> None:
        while not ready.exists():
            time.sleep(0.01)
        children.stop()
        children.stop()  # as `timeout` does

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(Stopped):
        children.run([sys.executable, "-uc", script], log)
    stopper.join()
    assert "saved" in log.read_text()
    with pytest.raises(Stopped):
        children.run([sys.executable, "-c", ""], log)


def test_a_signal_of_the_terminal_does_not_reach_a_command(tmp_path: Path) -> None:
    script = "import os; print('group', os.getpgid(0) == os.getpid())"
    Children(1).run([sys.executable, "-c", script], tmp_path / "log")
    assert "group True" in (tmp_path / "log").read_text()


def test_nothing_is_started_after_the_time_is_up(tmp_path: Path) -> None:
    plan, jobs = make_plan(tmp_path), make_jobs(TABLES, ["pcm"], [0], has_clip=False)
    told: list[dict[str, str]] = []
    assert run_rows(plan, jobs, Children(1), 1, -1.0, told.append) == {}
    assert not told and not plan.output.exists()


def test_a_failing_row_does_not_stop_the_others(tmp_path: Path) -> None:
    plan = replace(make_plan(tmp_path), evaluate_settings=("evaluate.nonsense=1",))
    jobs = [Job(Run(name, None), 0, (4,)) for name in ("one", "two")]
    failed = run_rows(plan, jobs, Children(1), 1, 10.0, lambda failed: None)
    assert set(failed) == {"one-seed0", "two-seed0"}
    assert all("exit code 2" in text for text in failed.values())


# --- what is concluded ---


@pytest.mark.parametrize(
    ("ours", "papers", "agrees"),
    [(1, 2, True), (-1, -2, True), (1, -2, False), (-1, 2, False), (0, 1, None), (1, 0, None)],
)
def test_signs_agree_where_both_differ_the_same_way(
    ours: float, papers: float, agrees: bool | None
) -> None:
    assert signs_agree(ours, papers) is agrees


def test_a_cell_shows_mean_spread_paper_and_agreement() -> None:
    assert psnr_cells([20.0], [21.0]) == "20.00 [19.00 ✓]"  # worse here and there
    assert psnr_cells([22.0], [21.0]) == "22.00 [19.00 ✗]"
    assert psnr_cells([20.0, 21.0], [23.0, 24.0]) == "20.50 ± 0.71 [19.00 ✓]"


def test_a_difference_within_the_spread_is_in_question() -> None:
    assert psnr_cells([20.0, 22.0], [21.0, 22.0]).endswith("✓?]")


def test_what_is_not_measured_is_said_to_be() -> None:
    assert psnr_cells([], [21.0]) == "- [19.00]"
    assert psnr_cells([20.0], []) == "20.00 [19.00]"


def test_a_metric_of_the_paper_that_was_not_measured_is_shown_by_its_stand_in() -> None:
    scores = {
        ("videolcm", 4): {"mae": [5.0], "ssim_gaussian": [0.7], "ssim": [0.8]},
        BASE: {"mae": [4.0], "ssim_gaussian": [0.6], "ssim": [0.9]},
    }
    line = Line("other", "videolcm", 4, {"ssim": 0.801, "l1": 2.7e-4})
    cells = {cell.column.heading: cell_text(cell) for cell in line_cells(line, scores)}
    assert cells["MAE ↓ (for L1)"] == "5.00 [2.70E-04 ✓]"
    assert cells["SSIM ↑"] == "0.800 [0.801 ✓]"


def test_the_baseline_is_not_compared_with_itself() -> None:
    cells = line_cells(Line("DanceLCM", *BASE, PAPER_BASELINE), {BASE: {"psnr": [21.0]}})
    assert all(cell.agrees is None for cell in cells)


def all_scores() -> Scores:
    """Return scores of every row that are the better the fewer steps and the longer its name."""
    rows = {(line.run, line.steps) for table in TABLES for line in table.lines}
    return {
        (run, steps): {"psnr": [20 + len(run) / 10 - steps / 50 + seed for seed in (0, 1e-6)]}
        for run, steps in {*rows, STANDING}
    }


def test_markdown_has_a_section_for_each_table_and_a_row_for_each_line() -> None:
    start = {"time": "today", "commit": "abc", "machine": "small", "command": "python"}
    course = Course({"steps": 600}, [start], {"pcm-seed0": {"distill": 1.0}}, ["A remark."])
    text = markdown(TABLES, all_scores(), course, {"table-1": "table-1.png"})
    for table in TABLES:
        assert f"## {table.title}" in text
        assert all(f"| {line.label} |" in text for line in table.lines)
    assert text.count("table-1.png") == 1
    assert f"| {REPEATED_REFERENCE} |" in text
    assert "- A remark." in text and "| today | abc | small |" in text
    assert "| pcm-seed0 | 1.0 | - |" in text


def test_json_holds_the_values_behind_every_mean() -> None:
    data: Any = as_json([OTHERS_TABLE], {BASE: {"psnr": [1.0, 3.0]}}, Course({}, []))
    figures = data["tables"][0]["lines"][1]["metrics"]["psnr"]
    assert figures["values"] == [1.0, 3.0] and figures["mean"] == 2.0
    assert figures["paper"] == PAPER_BASELINE["psnr"]


def test_agreement_counts_a_row_of_two_tables_once() -> None:
    scores = {("videolcm", 4): {"psnr": [20.0]}, BASE: {"psnr": [21.0]}}
    text = agreement_text([OTHERS_TABLE, OTHERS_TABLE], scores)
    assert text == "The sign agrees in 1 of 1 comparisons with the paper."


def test_a_chart_shows_agreement_by_colour(tmp_path: Path) -> None:
    for ours, present, absent in ((20.0, AGREES, DIFFERS), (22.0, DIFFERS, AGREES)):
        scores = {("videolcm", 4): {"psnr": [ours]}, BASE: {"psnr": [21.0]}}
        path = tmp_path / f"{ours}.png"
        assert draw_table(table_cells(OTHERS_TABLE, scores), path)
        picture = np.asarray(Image.open(path))[:-30]  # without the legend
        shown, missing = (
            (picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1).any()
            for colour in (present, absent)
        )
        assert shown and not missing


def test_a_table_without_figures_has_no_chart(tmp_path: Path) -> None:
    assert not draw_table(table_cells(OTHERS_TABLE, {}), tmp_path / "chart.png")
    assert not list(tmp_path.iterdir())
