from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.model_recipe import model_recipe, trained_recipe, write_model_recipe
from dancelcm_cli.config.schema import Recipe


def test_a_folder_has_the_recipe_that_lies_in_it(tmp_path: Path) -> None:
    write_model_recipe(tmp_path, "seed = 3\n")
    path = model_recipe(tmp_path)
    assert path is not None and load_recipe(path).seed == 3


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_a_recipe_has_none(tmp_path: Path, made: bool) -> None:
    model = tmp_path / "model"
    if made:
        model.mkdir()
    assert model_recipe(model) is None
    assert model_recipe(None) is None


@pytest.mark.parametrize("name", ["tiny", "unianimate"])
def test_a_model_is_used_as_it_was_trained_but_anywhere(name: str, tmp_path: Path) -> None:
    trained = load_recipe(
        name, ["seed=7", "device=cuda", "compute.precision=bfloat16", "evaluate.height=64"]
    )
    write_model_recipe(tmp_path, trained_recipe(trained))
    path, usual = model_recipe(tmp_path), Recipe()
    assert path is not None and load_recipe(path) == replace(
        trained,
        seed=usual.seed,
        device=usual.device,
        compute=usual.compute,
        evaluate=usual.evaluate,
    )
