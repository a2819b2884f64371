from __future__ import annotations

import pytest
import torch
from torch import nn

from dancelcm_cli.core.misfits import fill, list_misfits, refuse_misfits
from dancelcm_cli.errors import InputError


def test_each_kind_of_misfit_is_named_in_order() -> None:
    expected = {"a": (1,), "b": (2,), "c": (3,)}
    found = {"a": (1,), "b": (2, 1), "d": (4,)}
    assert list_misfits(expected, found) == [
        "misshapen b: (2, 1) for (2,)",
        "missing c",
        "unknown d",
    ]


def test_what_fits_has_no_misfits() -> None:
    assert list_misfits({"a": (1, 2)}, {"a": (1, 2)}) == []
    refuse_misfits("It does not fit", [], hint="")


def test_the_first_ten_misfits_are_told_and_how_many_there_are() -> None:
    misfits = [f"missing {letter}" for letter in "abcdefghijklm"]
    with pytest.raises(InputError, match=r"13 tensors, such as missing a; .*missing j\.$"):
        refuse_misfits("It does not fit", misfits, hint="Fetch it again.")


def test_a_network_is_filled_without_a_copy() -> None:
    with torch.device("meta"):
        layer = nn.Linear(2, 3)
    tensors = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    fill(layer, tensors, "a file")
    assert layer.weight.data_ptr() == tensors["weight"].data_ptr()


def test_a_network_that_cannot_be_filled_stays_as_it_was() -> None:
    layer = nn.Linear(2, 3)
    before = layer.weight.clone()
    with pytest.raises(
        InputError, match=r"file\.pth does not fit Linear: 1 tensors, such as missing"
    ):
        fill(layer, {"weight": torch.ones(3, 2)}, "file.pth")
    assert layer.weight.equal(before)
