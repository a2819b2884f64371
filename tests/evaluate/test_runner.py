import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dancelcm_cli.config.schema import AnimateConfig, EvaluateConfig, PreprocessConfig, Recipe
from dancelcm_cli.data.array_cache import cache_folder
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import DanceLCMError, InputError, WeightsMissingError
from dancelcm_cli.evaluate import costs
from dancelcm_cli.evaluate.candidates import REPEATED_REFERENCE
from dancelcm_cli.evaluate.datasets import TestVideo, open_dataset
from dancelcm_cli.evaluate.feature_cache import KIND
from dancelcm_cli.evaluate.foreign_names import as_markdown
from dancelcm_cli.evaluate.generation import Generate, Maker
from dancelcm_cli.evaluate.report import read_results
from dancelcm_cli.evaluate.results import EvaluationResult
from dancelcm_cli.evaluate.runner import evaluate_dataset
from dancelcm_cli.evaluate.self_check import Check
from dancelcm_cli.evaluate.tables import COST_NOTE
from dancelcm_cli.progress import SilentProgress

RECIPE = Recipe(
    evaluate=EvaluateConfig(height=16, width=16, beyond=False),
    animate=AnimateConfig(num_frames=3),
)


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
    truth: Path, predictions: Path | list[Path], output: Path, recipe: Recipe = RECIPE
) -> EvaluationResult:
    folders = [predictions] if isinstance(predictions, Path) else predictions
    return evaluate_dataset(
        open_dataset("folder", truth), output, recipe, SilentProgress(), folders
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
    truth: Path,
    model: Path,
    output: Path,
    generate: Generate,
    recipe: Recipe = RECIPE,
    steps: tuple[int, ...] = (4,),
) -> EvaluationResult:
    makers = (
        Maker(
            f"student, {count} steps",
            model,
            replace(recipe, animate=replace(recipe.animate, steps=count)),
            generate,
        )
        for count in steps
    )
    return evaluate_dataset(
        open_dataset("folder", truth), output, recipe, SilentProgress(), makers=makers
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


def test_results_of_another_version_and_damaged_ones_are_refused(
    truth: Path, tmp_path: Path
) -> None:
    score(truth, truth, tmp_path / "report")
    path = tmp_path / "report" / "results.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "schema_version": 99}))
    with pytest.raises(InputError, match="must be 3, got 99"):
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
    assert "| truth | 0.00E+00 [0.00E+00, 0.00E+00] | 100.00 [100.00, 100.00] |" in report
    assert all(as_markdown(note) in report for note in result.notes)


def test_the_best_of_several_candidates_is_in_bold(truth: Path, tmp_path: Path) -> None:
    worse = truth.rename(tmp_path / "worse")
    shutil.copytree(worse, truth)
    for picture in worse.rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(picture))).save(picture)
    score(truth, [worse, truth], tmp_path / "report")
    rows = (tmp_path / "report" / "report.md").read_text().splitlines()
    bold = {row.split("|")[1].strip(): row.count("**") // 2 for row in rows if row.count("|") > 7}
    assert (bold["truth"], bold["worse"], bold[REPEATED_REFERENCE]) == (5, 0, 0)


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
        "no PNG",
        "LPIPS is skipped.",
        "dancelcm models fetch i3d",
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
    assert len(list((tmp_path / "report/predictions/student-4-steps/dance0").iterdir())) == 2


def test_kept_predictions_score_the_same_when_they_are_given(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    made = animate(truth, model, tmp_path / "first", Darkener())
    again = score(truth, tmp_path / "first/predictions/student-4-steps", tmp_path / "second")
    assert again.rows[1].videos == made.rows[1].videos


def test_an_interrupted_run_is_resumed_and_ends_like_an_uninterrupted_one(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(DanceLCMError, match="power"):
        animate(truth, model, tmp_path / "report", Darkener(fails_at="dance1"))
    (predictions,) = (tmp_path / "report" / "predictions").iterdir()
    (predictions / ".tmp-cost.json").touch()  # as a killed one leaves it
    second = Darkener()
    resumed = animate(truth, model, tmp_path / "report", second)
    assert second.made == ["dance1"]
    whole = animate(truth, model, tmp_path / "other", Darkener())
    assert [row.videos for row in resumed.rows] == [row.videos for row in whole.rows]
    assert not list(tmp_path.rglob(".tmp-*"))


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
        animate(truth, model, tmp_path, too_short)
    kept = tmp_path / "predictions" / "student-4-steps"
    assert [path.name for path in kept.iterdir()] == ["made_with.json"]


def test_something_to_score_must_be_given_once(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither predictions nor a model"):
        score(truth, [], tmp_path)
    with pytest.raises(InputError, match="different names, got 'truth'"):
        score(truth, [truth, truth], tmp_path)


def test_each_number_of_steps_makes_a_row(truth: Path, model: Path, tmp_path: Path) -> None:
    generate = Darkener()
    result = animate(truth, model, tmp_path / "report", generate, steps=(1, 2))
    assert [row.name for row in result.rows] == [
        REPEATED_REFERENCE,
        "student, 1 steps",
        "student, 2 steps",
    ]
    assert values(result, 1) == values(result, 2)  # our stand-in knows no steps
    assert generate.made == ["dance0", "dance1"] * 2


def test_rows_are_compared_on_the_frames_that_all_of_them_have(
    truth: Path, tmp_path: Path, write_videos: Callable[..., Path]
) -> None:
    short = write_videos(tmp_path / "short", (3, 4))
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, allow_missing=True))
    both = score(truth, [truth, short], tmp_path / "both", recipe)
    alone = score(truth, short, tmp_path / "alone", recipe)
    assert both.rows[1].videos == both.rows[2].videos == alone.rows[1].videos
    assert both.coverage == alone.coverage == pytest.approx(7 / 9)


def test_what_must_be_measured_is_missed_before_anything_is_made(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    generate = Darkener()
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, strict=True))
    with pytest.raises(WeightsMissingError, match="LPIPS"):
        animate(truth, model, tmp_path / "report", generate, recipe)
    assert generate.made == []


def test_a_self_check_is_kept_in_the_report(truth: Path, tmp_path: Path) -> None:
    check = Check("PSNR of two ramps", 11.5, 0.1, 11.52)
    result = evaluate_dataset(
        open_dataset("folder", truth),
        tmp_path / "report",
        RECIPE,
        SilentProgress(),
        [truth],
        self_check=[check],
    )
    assert read_results(tmp_path / "report" / "results.json") == result
    report = (tmp_path / "report" / "report.md").read_text()
    assert "| PSNR of two ramps | 11.5 | 1e-01 | 11.52 | ok |" in report


@pytest.fixture
def long_truth(tmp_path: Path, write_videos: Callable[..., Path]) -> Path:
    return write_videos(tmp_path / "long", (16, 16), height=64, width=64)


@pytest.fixture
def blurred_twice(
    long_truth: Path, tmp_path: Path, write_frames: Callable[..., Path]
) -> list[Path]:
    """The truth, blurred a little and a lot."""

    def blurred(video: Path, radius: float) -> Iterator[np.ndarray]:
        for picture in sorted(video.iterdir()):
            yield np.asarray(Image.open(picture).filter(ImageFilter.GaussianBlur(radius)))

    for radius in (1, 3):
        for video in long_truth.iterdir():
            write_frames(tmp_path / f"blur{radius}" / video.name, blurred(video, radius))
    return [tmp_path / "blur1", tmp_path / "blur3"]


@pytest.mark.weights
@pytest.mark.slow
def test_every_metric_is_perfect_for_the_truth_and_orders_a_ladder_of_blur(
    long_truth: Path, blurred_twice: list[Path], tmp_path: Path
) -> None:
    config = EvaluateConfig(height=64, width=64, beyond=False, strict=True, batch_size=2)
    recipe = Recipe(evaluate=config)
    result = score(long_truth, [long_truth, *blurred_twice], tmp_path / "report", recipe)
    perfect = {"l1": 0, "psnr": 100, "ssim": 1, "lpips": 0, "fvd": 0, "mae": 0, "ssim_gaussian": 1}
    assert values(result, 1) == pytest.approx(perfect, abs=1e-3)
    for metric in result.metrics:
        ladder = [values(result, row)[metric.name] for row in (1, 2, 3)]
        assert ladder == sorted(ladder, reverse=metric.higher_is_better)
        assert len(set(ladder)) == 3
    assert result.clips is not None and result.clips.num_clips == 2
    assert result.clips.split_half_floor is not None and result.clips.split_half_floor > 0
    assert set(result.weights) == {"lpips", "fvd"} and result.skipped == {}
    assert read_results(tmp_path / "report" / "results.json") == result
    assert any("FVD of 2 clips; one half" in note for note in result.notes)
    assert len(list(cache_folder(KIND).iterdir())) == 2


@pytest.mark.parametrize(
    "preprocess", [{"height": 96, "width": 64}, {"width": 64}, {"fit": "crop"}, {"face_size": 64}]
)
def test_predictions_at_other_sizes_are_not_taken_for_ones_own(
    truth: Path, model: Path, tmp_path: Path, preprocess: dict[str, object]
) -> None:
    animate(truth, model, tmp_path / "report", Darkener())
    recipe = replace(RECIPE, preprocess=PreprocessConfig(**preprocess))
    with pytest.raises(InputError, match="other values of preprocess"):
        animate(truth, model, tmp_path / "report", Darkener(), recipe)


def test_predictions_of_other_videos_of_that_name_are_not_taken_for_ones_own(
    truth: Path, model: Path, tmp_path: Path, write_videos: Callable[..., Path]
) -> None:
    kept = shutil.copytree(truth, tmp_path / "kept")
    animate(truth, model, tmp_path / "report", Darkener())
    (truth / "dance1" / "0002.png").write_bytes((truth / "dance1" / "0000.png").read_bytes())
    with pytest.raises(InputError, match="other values of dance1"):
        animate(truth, model, tmp_path / "report", Darkener())
    shutil.rmtree(truth)
    write_videos(kept, (5, 4, 3))  # a third one, and the first two as they were
    third = Darkener()
    animate(kept, model, tmp_path / "report", third)
    assert third.made == ["dance2"]


def test_keypoints_beside_a_video_are_part_of_what_its_prediction_depends_on(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    animate(truth, model, tmp_path / "report", Darkener())
    (truth / "dance0.npz").write_bytes(b"keypoints")
    with pytest.raises(InputError, match="other values of dance0"):
        animate(truth, model, tmp_path / "report", Darkener())


def test_frames_that_would_be_cut_or_padded_are_refused(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    for fit in ("crop", "pad"):
        square = replace(RECIPE, preprocess=PreprocessConfig(height=64, width=64, fit=fit))
        with pytest.raises(InputError, match="must show all of a frame") as caught:
            animate(truth, model, tmp_path / fit, Darkener(), square)
        assert "preprocess.fit=squash" in caught.value.hint


def test_square_frames_that_a_model_made_are_compared_as_whole_frames(
    truth: Path, model: Path, tmp_path: Path
) -> None:
    def squeeze(video: TestVideo, output: Path) -> None:
        for index, frame in enumerate(video.truth.frames(video.scored_indices)):
            squeezed = fit_frame(frame, 64, 64, "squash")
            Image.fromarray(squeezed).save(output / f"{index}.png")

    made = animate(truth, model, tmp_path / "report", squeeze)
    folder = tmp_path / "report" / "predictions" / "student-4-steps"
    again = score(truth, folder, tmp_path / "again")
    (folder / "made_with.json").unlink()
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, allow_missing=True))
    unknown = score(truth, folder, tmp_path / "unknown", recipe)
    assert values(again, 1) == values(made, 1)
    assert values(made, 1)["psnr"] > values(unknown, 1)["psnr"] + 5


def test_the_model_is_loaded_before_the_clock_starts_and_only_where_it_is_needed(
    truth: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(costs.time, "perf_counter", lambda: clock[0])

    def load() -> None:
        clock[0] += 100

    def generate(video: TestVideo, output: Path) -> None:
        clock[0] += 3
        Darkener()(video, output)

    def run() -> EvaluationResult:
        maker = Maker("student", model, RECIPE, generate, load=load)
        return evaluate_dataset(
            open_dataset("folder", truth), tmp_path / "report", RECIPE, SilentProgress(),
            makers=[maker],
        )  # fmt: skip

    (_, row) = run().rows
    assert row.cost is not None and row.cost.seconds_per_frame == 1.0
    assert COST_NOTE in (tmp_path / "report" / "report.md").read_text()
    run()
    assert clock == [106]
