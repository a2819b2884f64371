from __future__ import annotations

import pytest

from dancelcm_cli.config.draft import DRAFT_STEPS, as_draft
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.validation import validate_recipe


@pytest.mark.parametrize(
    ("name", "size"), [("tiny", (96, 64)), ("unianimate", (384, 256)), ("smoke", (32, 32))]
)
def test_a_draft_has_half_the_size_and_two_steps(name: str, size: tuple[int, int]) -> None:
    draft = as_draft(load_recipe(name))
    assert (draft.preprocess.height, draft.preprocess.width) == size
    assert draft.animate.steps == DRAFT_STEPS == 2
    validate_recipe(draft)


def test_a_number_of_steps_that_was_asked_for_is_kept() -> None:
    assert as_draft(load_recipe("tiny"), steps=3).animate.steps == 3


@pytest.mark.parametrize("side", [32, 64, 96, 160, 224])
def test_half_a_size_still_fits_the_network(side: int) -> None:
    recipe = load_recipe("tiny", [f"preprocess.height={side}", "preprocess.width=64"])
    height = as_draft(recipe).preprocess.height
    assert height % 32 == 0 and height >= 32
    assert abs(height - side / 2) <= 16


def test_nothing_else_changes() -> None:
    recipe = load_recipe("tiny", ["seed=7", "animate.fps=10"])
    draft = as_draft(recipe)
    assert (draft.seed, draft.animate.fps) == (7, 10)
    assert (draft.network, draft.preprocess.fit) == (recipe.network, recipe.preprocess.fit)
