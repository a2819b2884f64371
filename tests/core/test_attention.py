import pytest
import torch

from dancelcm_cli.core import attention
from dancelcm_cli.core.attention import FeedForward


@pytest.mark.parametrize("tokens_per_piece", [1, 7, 150, 1000])
def test_a_feed_forward_in_pieces_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, tokens_per_piece: int
) -> None:
    torch.manual_seed(0)
    layer, tokens = FeedForward(16), torch.randn(2, 3, 25, 16)
    whole = layer(tokens)
    monkeypatch.setattr(attention, "PIECE_SIZE", tokens_per_piece * 8 * 16)
    with torch.no_grad():
        torch.testing.assert_close(layer(tokens), whole)


def test_more_sequences_than_a_kernel_takes_are_attended_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queries, keys, values = torch.randn(3, 7, 2, 5, 8)
    whole = attention.attend(queries, keys, values)
    monkeypatch.setattr(attention, "MOST_SEQUENCES", 3)
    assert torch.equal(attention.attend(queries, keys, values), whole)
