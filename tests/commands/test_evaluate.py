import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from dancelcm_cli.app import app
from dancelcm_cli.config.model_recipe import write_model_recipe
from dancelcm_cli.errors import ConfigError, InputError, WeightsMissingError


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    video = tmp_path / "truth" / "dance0"
    video.mkdir(parents=True)
    for index, frame in enumerate(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3))):
        Image.fromarray(frame.astype(np.uint8)).save(video / f"{index}.png")
    return tmp_path / "truth"


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})


def test_the_metrics_that_are_named_are_the_columns(truth: Path, tmp_path: Path) -> None:
    result = evaluate(
        "--dataset", "folder", "--truth", truth, "--predictions", truth,
        "--metrics", "mae,psnr", "--output", tmp_path / "report",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "MAE ↓" in result.output and "PSNR ↑" in result.output
    assert "SSIM" not in result.output and "skipped" not in result.output
    saved = json.loads((tmp_path / "report" / "results.json").read_text())
    assert saved["protocol"]["metrics"] == ["mae", "psnr"]


def test_metrics_without_weights_are_skipped_unless_strict(truth: Path, tmp_path: Path) -> None:
    arguments = ("--dataset", "folder", "--truth", truth, "--predictions", truth)
    result = evaluate(*arguments, "--output", tmp_path / "report")
    assert result.exit_code == 0
    assert "skipped" in result.stdout
    assert "dancelcm models fetch lpips-vgg" in result.stderr
    strict = evaluate(*arguments, "--strict", "--output", tmp_path / "strict")
    assert isinstance(strict.exception, WeightsMissingError)
    assert strict.exception.exit_code == 3


def test_a_self_check_needs_no_data_set(tmp_path: Path) -> None:
    result = evaluate("--self-check", "--output", tmp_path / "report")
    assert result.exit_code == 0
    assert "PSNR of two ramps" in result.output
    assert "dancelcm models fetch i3d" in result.stderr
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["self_check.json"]


def test_a_repeated_evaluation_comes_out_as_before(truth: Path, tmp_path: Path) -> None:
    first = evaluate(
        "--dataset", "folder", "--truth", truth, "--predictions", truth, "--metrics", "mae,flicker",
        "--set", "evaluate.height=16", "--output", tmp_path / "first",
    )  # fmt: skip
    again = evaluate("--repeat", tmp_path / "first", "--output", tmp_path / "again")
    assert (first.exit_code, again.exit_code) == (0, 0)
    files = ("results.json", "protocol.json", "recipe.toml", "per_video.csv")
    for name in files:
        assert (tmp_path / "first" / name).read_text() == (tmp_path / "again" / name).read_text()
    mixed = evaluate("--repeat", tmp_path / "first", "--dataset", "dance")
    assert isinstance(mixed.exception, ConfigError)


def test_missing_frames_fail_unless_they_are_allowed(truth: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    shutil.copytree(truth, made)
    (made / "dance0" / "1.png").unlink()
    arguments = ("--dataset", "folder", "--truth", truth, "--predictions", made, "--metrics", "mae")
    refused = evaluate(*arguments, "--output", tmp_path / "refused")
    assert isinstance(refused.exception, InputError)
    assert "missing" in refused.exception.message
    allowed = evaluate(*arguments, "--allow-missing", "--output", tmp_path / "allowed")
    assert allowed.exit_code == 0
    assert "Incomplete: 66.7%" in allowed.stderr
    saved = json.loads((tmp_path / "allowed" / "results.json").read_text())
    assert saved["rows"][1]["estimates"]["mae"]["value"] == 0  # no frame met another


def test_more_is_measured_where_it_is_asked_for(truth: Path, tmp_path: Path) -> None:
    result = evaluate(
        "--dataset", "folder", "--truth", truth, "--predictions", truth, "--beyond", "--pose",
        "--output", tmp_path / "report",
    )  # fmt: skip
    assert result.exit_code == 0
    for heading in ("face found ↑", "sharpness, moving →1", "warp error ↓", "AKD ↓", "PCK@0.2 ↑"):
        assert heading in result.stdout
    assert "dancelcm models fetch facenet" in result.stderr


def test_what_does_not_fit_together_is_refused(truth: Path) -> None:
    assert isinstance(evaluate().exception, ConfigError)
    assert isinstance(evaluate("--dataset", "ubc", "--truth", truth).exception, InputError)
    for flag, value in (("--steps", "1,zero"), ("--steps", "4,0"), ("--metrics", "psnr,beauty")):
        assert isinstance(evaluate("--dataset", "dance", flag, value).exception, ConfigError)


def test_a_repeated_evaluation_takes_the_data_set_where_it_was_found(
    truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for store in ("store", "other"):
        shutil.copytree(truth, tmp_path / store / "ubc" / "test")
    shutil.copytree(truth / "dance0", tmp_path / "other" / "ubc" / "test" / "dance1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANCELCM_DATA", "store")
    first = evaluate(
        "--dataset", "ubc", "--predictions", truth, "--metrics", "mae", "--output", "first"
    )
    monkeypatch.chdir("/")
    monkeypatch.setenv("DANCELCM_DATA", str(tmp_path / "other"))
    again = evaluate("--repeat", tmp_path / "first", "--output", tmp_path / "again")
    assert (first.exit_code, again.exit_code) == (0, 0)
    results = [
        json.loads((tmp_path / name / "results.json").read_text())["rows"][1]["videos"]
        for name in ("first", "again")
    ]
    assert results[0] == results[1]


def test_a_self_check_may_come_with_a_repeated_evaluation(truth: Path, tmp_path: Path) -> None:
    evaluate(
        "--dataset", "folder", "--truth", truth, "--predictions", truth, "--metrics", "mae",
        "--output", tmp_path / "first",
    )  # fmt: skip
    again = evaluate("--repeat", tmp_path / "first", "--self-check", "--output", tmp_path / "again")
    assert again.exit_code == 0
    assert "PSNR of two ramps" in again.output


def test_models_that_animate_in_other_ways_are_not_scored_together(
    truth: Path, tmp_path: Path
) -> None:
    models = [tmp_path / name for name in ("small", "large")]
    for model, toml in zip(models, ('extends = "tiny"', 'extends = "unianimate"'), strict=True):
        model.mkdir()
        write_model_recipe(model, toml)
    arguments = ("--dataset", "folder", "--truth", truth, "--model", models[0], "--model")
    result = evaluate(*arguments, models[1], "--output", tmp_path / "report")
    assert isinstance(result.exception, ConfigError)
    assert str(models[1]) in result.exception.message
    assert not (tmp_path / "report").exists()
    named = evaluate(*arguments, models[1], "--recipe", "tiny", "--output", tmp_path / "report")
    assert isinstance(named.exception, InputError)  # it goes on, as far as the empty folders
