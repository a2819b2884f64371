import pytest
import torch

from dancelcm_cli.core import attention


def test_more_sequences_than_a_kernel_takes_are_attended_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queries, keys, values = torch.randn(3, 7, 2, 5, 8)
    whole = attention.attend(queries, keys, values)
    monkeypatch.setattr(attention, "MOST_SEQUENCES", 3)
    assert torch.equal(attention.attend(queries, keys, values), whole)
