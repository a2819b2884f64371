from collections.abc import Callable
from dataclasses import fields

import torch

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions


def test_a_batch_moves_with_all_its_conditions_and_the_original_stays(
    make_conditions: Callable[..., Conditions],
) -> None:
    batch = ClipBatch(torch.zeros(2, 4, 3, 8, 8), make_conditions(0, batch=2))
    moved = batch.to(torch.device("meta"))
    assert moved.latents.is_meta
    assert not batch.latents.is_meta
    for field in fields(Conditions):
        before = getattr(batch.conditions, field.name)
        after = getattr(moved.conditions, field.name)
        assert (after is None) if before is None else (after.is_meta and not before.is_meta)
