from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.runs import distill_student

MakeRecipe = Callable[..., Recipe]


def test_without_tensorboard_the_user_is_told_how_to_get_it_before_work_starts(
    tmp_path: Path,
    shards: Path,
    teacher: Path,
    make_recipe: MakeRecipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    recipe = make_recipe("compute.tensorboard=true")
    with pytest.raises(ConfigError, match="must be false where TensorBoard is not") as caught:
        distill_student(shards, tmp_path, teacher, recipe, SilentProgress(), resume=False)
    assert 'pip install "dancelcm[tensorboard]"' in caught.value.hint
    assert not (tmp_path / "teacher.safetensors").exists()
