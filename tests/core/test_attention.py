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
