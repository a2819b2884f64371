from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.config.schema import EvaluateConfig, Recipe
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.plan import Plan, read_plan, write_plan
from dancelcm_cli.evaluate.protocol import DISCO_256

RECIPE = Recipe(seed=7, evaluate=EvaluateConfig(steps=(1, 2), pose=True))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    model = tmp_path / "student"
    model.mkdir()
    (model / "weights").write_bytes(b"1")
    return Plan("folder", truth=tmp_path / "truth", models=(model,), bounds=True)


def test_a_plan_reads_back_as_it_was(plan: Plan, tmp_path: Path) -> None:
    write_plan(plan, RECIPE, DISCO_256, tmp_path / "report")
    assert read_plan(tmp_path / "report") == (plan, RECIPE)
    assert read_plan(tmp_path / "report" / "protocol.json") == (plan, RECIPE)


def test_paths_mean_the_same_from_anywhere(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = replace(plan, truth=Path("truth"), predictions=(Path("made"),))
    write_plan(relative, RECIPE, DISCO_256, tmp_path / "report")
    monkeypatch.chdir("/")
    read, _ = read_plan(tmp_path / "report")
    assert (read.truth, read.predictions) == (tmp_path / "truth", (tmp_path / "made",))


def test_a_model_that_changed_is_not_taken_for_the_earlier_one(plan: Plan, tmp_path: Path) -> None:
    write_plan(plan, RECIPE, DISCO_256, tmp_path / "report")
    (plan.models[0] / "weights").write_bytes(b"2")
    with pytest.raises(InputError, match="but it is another now"):
        read_plan(tmp_path / "report")


@pytest.mark.parametrize("content", ["{", "{}", '{"format_version": 99}'])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "protocol.json").write_text(content)
    with pytest.raises(InputError, match="cannot be read"):
        read_plan(tmp_path)


def test_weights_of_ones_own_are_found_again_from_anywhere(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, i3d="mine.pt"))
    write_plan(plan, recipe, DISCO_256, tmp_path / "report")
    _, read = read_plan(tmp_path / "report")
    assert read.evaluate.i3d == str(tmp_path / "mine.pt")
