"""A quick look at what an animation will be: two steps at half the size, by a small decoder."""

from __future__ import annotations

from dataclasses import replace

from dancelcm_cli.config.schema import Recipe

DRAFT_STEPS = 2


def as_draft(recipe: Recipe, steps: int | None = None) -> Recipe:
    """Return `recipe` with two `steps`, if no other number is given, and half its size.

    Height and width stay multiples of what the recipe's network halves again and again. TAESD
    decodes where it was fetched and the model is of its kind.
    """
    levels = len(recipe.network.channel_multipliers)
    cell = recipe.autoencoder.patch_size << (levels - 1)

    def half(side: int) -> int:
        return max(1, round(side / 2 / cell)) * cell

    size = recipe.preprocess
    return replace(
        recipe,
        preprocess=replace(size, height=half(size.height), width=half(size.width)),
        animate=replace(recipe.animate, steps=steps or DRAFT_STEPS, small_decoder=True),
    )
