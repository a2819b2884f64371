import csv
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.config.schema import AnimateConfig, EvaluateConfig, Recipe
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import DanceLCMError, InputError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.report import read_results
from dancelcm_cli.evaluate.results import REPEATED_REFERENCE, EvaluationResult
from dancelcm_cli.evaluate.runner import evaluate_dataset
from dancelcm_cli.progress import SilentProgress

RECIPE = Recipe(evaluate=EvaluateConfig(height=16, width=16), animate=AnimateConfig(num_frames=3))


@pytest.fixture
def truth(tmp_path: Path, write_videos: Callable[..., Path]) -> Path:
    return write_videos(tmp_path / "truth", (5, 4))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    return folder


def score(
    truth: Path, predictions: Path, output: Path, recipe: Recipe = RECIPE
) -> EvaluationResult:
    return evaluate_dataset(
        "folder", None, predictions, None, output, recipe, SilentProgress(), truth=truth
    )


class Darkener:
    """A stand-in for a model: the true frames at half the size, ten grey levels darker."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.made: list[str] = []

    def __call__(self, video: TestVideo, output: Path) -> None:
        for index, frame in enumerate(video.truth.frames(video.scored_indices)):
            if video.name == self.fails_at and index == 1:
                raise DanceLCMError("The power failed.")
            small = Image.fromarray(np.maximum(frame, 10) - 10).reduce(2)
            small.save(output / f"{index:05d}.png")
        self.made.append(video.name)


def animate(
    truth: Path, model: Path, output: Path, generate: Darkener, recipe: Recipe = RECIPE
) -> EvaluationResult:
    return evaluate_dataset(
        "folder", None, None, model, output, recipe, SilentProgress(), truth, generate
    )


def values(result: EvaluationResult, row: int) -> dict[str, float]:
    return {name: estimate.value for name, estimate in result.rows[row].estimates.items()}


def test_truth_against_itself_is_perfect_and_beats_the_repeated_reference(
    truth: Path, tmp_path: Path
) -> None:
    result = score(truth, truth, tmp_path / "report")
    assert values(result, 1) == pytest.approx(
        {"l1": 0, "psnr": 100, "ssim": 1, "mae": 0, "ssim_gaussian": 1}
    )
    assert result.rows[0].name == REPEATED_REFERENCE
    assert values(result, 0)["psnr"] < 100
    assert (result.num_videos, result.num_frames, result.coverage) == (2, 9, 1.0)


def test_a_saved_result_reads_back_as_it_was(truth: Path, tmp_path: Path) -> None:
    for name in ("disco-256", "textbook"):
        recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, protocol=name))
        result = score(truth, truth, tmp_path / name, recipe)
        assert read_results(tmp_path / name / "results.json") == result
        protocol = json.loads((tmp_path / name / "protocol.json").read_text())
        assert protocol == json.loads(json.dumps(asdict(result.protocol)))


def test_results_of_another_version_and_damaged_ones_are_refused(
    truth: Path, tmp_path: Path
) -> None:
    score(truth, truth, tmp_path / "report")
    path = tmp_path / "report" / "results.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "schema_version": 99}))
    with pytest.raises(InputError, match="must be 1, got 99"):
        read_results(path)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_results(path)


def test_every_video_of_every_row_has_a_line_in_the_csv(truth: Path, tmp_path: Path) -> None:
    result = score(truth, truth, tmp_path / "report")
    with (tmp_path / "report" / "per_video.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["row"], line["video"], line["frames"]) for line in lines] == [
        (row.name, name, frames)
        for row in result.rows
        for name, frames in (("dance0", "5"), ("dance1", "4"))
    ]
    assert float(lines[0]["psnr"]) == result.rows[0].videos[0].means["psnr"]


def test_the_report_shows_the_table_and_every_note(truth: Path, tmp_path: Path) -> None:
    result = score(truth, truth, tmp_path / "report")
    report = (tmp_path / "report" / "report.md").read_text()
    assert "| predictions | 0.00E+00 [0.00E+00, 0.00E+00] | 100.00 [100.00, 100.00] |" in report
    assert all(note in report for note in result.notes)
    assert result.columns[:3] == ("", "L1 ↓", "PSNR ↑")
    assert result.table()[1][:4] == ("predictions", "0.00E+00", "100.00", "1.000")


def test_the_notes_tell_what_keeps_numbers_from_being_compared(
    truth: Path, tmp_path: Path, make_frames: Callable[..., list]
) -> None:
    write_video(tmp_path / "made" / "dance0.mp4", make_frames(4), 12)
    recipe = replace(
        RECIPE, evaluate=replace(RECIPE.evaluate, allow_missing=True, geometry="squash")
    )
    notes = "\n".join(score(truth, tmp_path / "made", tmp_path / "report", recipe).notes)
    for reason in (
        "no paper",
        "16 x 16",
        "Geometry squash",
        "44.4%",
        "reference frame",
        "not PNG",
        "LPIPS and FVD",
    ):
        assert reason in notes


def test_a_model_predicts_the_frames_that_the_recipe_asks_for(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, animate=AnimateConfig(num_frames=2, frame_stride=2))
    result = animate(truth, model, tmp_path / "report", Darkener(), recipe)
    assert result.rows[1].name == "student, 4 steps"
    assert result.num_frames == 4
    assert any("Only a part" in note for note in result.notes)
    assert len(list((tmp_path / "report/predictions/dance0").iterdir())) == 2


def test_kept_predictions_score_the_same_when_they_are_given(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    made = animate(truth, model, tmp_path / "first", Darkener())
    again = score(truth, tmp_path / "first" / "predictions", tmp_path / "second")
    assert again.rows[1].videos == made.rows[1].videos


def test_an_interrupted_run_is_resumed_and_ends_like_an_uninterrupted_one(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(DanceLCMError, match="power"):
        animate(truth, model, tmp_path / "report", Darkener(fails_at="dance1"))
    second = Darkener()
    resumed = animate(truth, model, tmp_path / "report", second)
    assert second.made == ["dance1"]
    whole = animate(truth, model, tmp_path / "other", Darkener())
    assert resumed.rows == whole.rows


def test_predictions_of_another_model_or_seed_are_not_taken_for_ones_own(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    animate(truth, model, tmp_path / "report", Darkener())
    with pytest.raises(InputError, match="other values of seed"):
        animate(truth, model, tmp_path / "report", Darkener(), replace(RECIPE, seed=1))
    (model / "weights").write_bytes(b"2")
    with pytest.raises(InputError, match="other values of model"):
        animate(truth, model, tmp_path / "report", Darkener())


def test_a_prediction_with_too_few_frames_is_refused_and_not_kept(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    def too_short(video: TestVideo, output: Path) -> None:
        Image.new("RGB", (8, 8)).save(output / "0.png")

    with pytest.raises(InputError, match="dance0 must have 3 frames, got 1"):
        evaluate_dataset(
            "folder", None, None, model, tmp_path, RECIPE, SilentProgress(), truth, too_short
        )
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["made_with.json"]


def test_something_to_score_and_the_right_truth_must_be_given(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither predictions nor a model"):
        evaluate_dataset("folder", truth, None, None, tmp_path, RECIPE, SilentProgress())
    with pytest.raises(InputError, match="must be its own"):
        evaluate_dataset("ubc", None, truth, None, tmp_path, RECIPE, SilentProgress(), truth)
