from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.evaluate.candidates import REPEATED_REFERENCE
from dancelcm_cli.evaluate.costs import Cost
from dancelcm_cli.evaluate.estimates import Estimate
from dancelcm_cli.evaluate.paper_rows import PAPER_ROWS
from dancelcm_cli.evaluate.protocol import DISCO_256, TEXTBOOK
from dancelcm_cli.evaluate.results import EvaluationResult, ResultRow
from dancelcm_cli.evaluate.scoring import VideoScores
from dancelcm_cli.evaluate.tables import beyond_table, cost_table, paper_table, tables


def row(name: str, cost: Cost | None = None, **values: float) -> ResultRow:
    estimates = {metric: Estimate(value, value - 1, value + 1) for metric, value in values.items()}
    return ResultRow(name, "", estimates, (VideoScores("a", 3, values, 0),), cost)


def result(
    *rows: ResultRow, dataset: str = "dance", metrics: tuple[MetricName, ...] = ("psnr", "fvd")
) -> EvaluationResult:
    return EvaluationResult(
        dataset=dataset, split="all", root=str(Path()), num_videos=1, num_frames=3, coverage=1.0,
        protocol=replace(DISCO_256, metrics=metrics), rows=rows, clips=None, weights={},
        skipped={}, self_check=(), notes=(), environment={},
    )  # fmt: skip


def test_every_candidate_has_a_row_and_the_best_stands_out() -> None:
    rows = row(REPEATED_REFERENCE, psnr=30, fvd=1), row("a", psnr=20, fvd=9), row("b", psnr=22)
    table = paper_table(result(*rows))
    assert table.columns == ("", "PSNR ↑", "FVD ↓")
    assert table.rows == (
        (REPEATED_REFERENCE, "30.00", "1.00"), ("a", "20.00", "9.00"), ("b", "22.00", "-"),
    )  # fmt: skip
    assert table.best == {(2, 1)}  # of fvd there are not two to choose from


def test_what_could_not_be_measured_is_told_from_what_was_not_there() -> None:
    evaluation = replace(result(row("a", psnr=20)), skipped={"fvd": "No weights."})
    assert paper_table(evaluation).rows == (("a", "20.00", "skipped"),)


def test_intervals_stand_beside_values() -> None:
    assert paper_table(result(row("a", psnr=20)), True).rows[0][1] == "20.00 [19.00, 21.00]"


def test_the_papers_rows_are_in_place_from_the_worst_to_the_best() -> None:
    rows = row(REPEATED_REFERENCE, fvd=999), row("ours", fvd=170, psnr=19)
    table = paper_table(result(*rows, dataset="tiktok"))
    names = [cells[0] for cells in table.rows]
    assert names[:2] == [REPEATED_REFERENCE, "DreamPose, 100 steps (paper)"]
    assert names.index("ours") == names.index("Animate Anyone, 20 steps (paper)") + 1
    assert names[-2:] == ["DanceLCM, 4 steps (paper)", "UniAnimate, 50 steps (paper)"]
    assert {table.rows[line][0] for line, _ in table.best} == {"UniAnimate, 50 steps (paper)"}


def test_without_fvd_rows_are_sorted_by_the_next_metric_that_is_measured() -> None:
    metrics: tuple[MetricName, ...] = ("psnr", "lpips")
    rows = row(REPEATED_REFERENCE, psnr=12), row("ours", psnr=20)
    names = [cells[0] for cells in paper_table(result(*rows, dataset="ubc", metrics=metrics)).rows]
    assert names[-1] == "UniAnimate (paper)" and names.index("ours") < names.index(
        "VideoLCM (paper)"
    )


def test_other_definitions_are_not_set_beside_the_papers_numbers() -> None:
    evaluation = result(row("ours", psnr=20), dataset="tiktok")
    textbook = replace(evaluation, protocol=replace(TEXTBOOK, metrics=("psnr",)))
    assert [cells[0] for cells in paper_table(textbook).rows] == ["ours"]


def test_what_papers_do_not_report_has_a_table_of_its_own() -> None:
    assert beyond_table(result(row("a", psnr=20))) is None
    metrics: tuple[MetricName, ...] = ("psnr", "sharpness_moving", "face_found")
    rows = row("a", sharpness_moving=1.3, face_found=0.5), row("b", sharpness_moving=0.8)
    table = beyond_table(result(*rows, metrics=metrics))
    assert table is not None
    assert table.columns == ("", "sharpness, moving →1", "face found ↑")
    assert table.rows == (("a", "1.300", "0.500"), ("b", "0.800", "-"))
    assert table.best == {(1, 1)}  # nearer to the truth's own sharpness


def test_costs_are_told_where_they_are_known() -> None:
    assert cost_table(result(row("a", psnr=20))) is None
    made = row("b", Cost(4, 0.25, 1_500_000_000), psnr=20)
    table = cost_table(result(row("a", psnr=20), made))
    assert table is not None
    assert table.rows == (("b", "4", "0.25", "1.5 GB"),)
    assert len(tables(result(made))) == 2


@pytest.mark.parametrize(("dataset", "count"), [("tiktok", 10), ("ubc", 8)])
def test_the_papers_tables_are_whole_and_plausible(dataset: str, count: int) -> None:
    rows = PAPER_ROWS[dataset]
    assert len({each.name for each in rows}) == count
    for each in rows:
        assert {"ssim", "lpips", "fvd"} <= each.values.keys()
        assert 0 < each.values["lpips"] < each.values["ssim"] < 1 < each.values["fvd"]


def test_other_choices_than_those_of_the_papers_keep_their_rows_away() -> None:
    evaluation = result(row("ours", psnr=20), dataset="tiktok")

    def rows(**choices: Any) -> int:
        protocol = replace(evaluation.protocol, **choices)
        return len(paper_table(replace(evaluation, protocol=protocol)).rows)

    with_papers = 1 + len(PAPER_ROWS["tiktok"])
    assert rows(geometry="squash") == rows(fvd_codec="h264") == with_papers
    for choices in (
        {"height": 512}, {"lpips_range": "signed"}, {"fvd_stride": 16}, {"fvd_resize": "bilinear"},
        {"include_reference_frame": False},
    ):  # fmt: skip
        assert rows(**choices) == 1
