import pytest
import torch

from dancelcm_cli.core import pieces
from dancelcm_cli.core.attention import FeedForward
from dancelcm_cli.core.conditioning import PictureStem


@pytest.mark.parametrize(("rows", "inside"), [(1, 100), (7, 30), (10, 10), (11, 1), (3, 1000)])
def test_no_piece_holds_more_inside_than_it_may(
    monkeypatch: pytest.MonkeyPatch, rows: int, inside: int
) -> None:
    monkeypatch.setattr(pieces, "CPU_PIECE", 100)
    seen: list[int] = []

    def work(part: torch.Tensor) -> torch.Tensor:
        seen.append(len(part))
        return 2 * part

    given = torch.arange(rows * 3.0).view(rows, 3)
    with torch.no_grad():
        assert torch.equal(pieces.in_pieces(work, given, inside), 2 * given)
    assert sum(seen) == rows and max(seen) * inside <= max(100, inside)


def test_gradients_see_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "CPU_PIECE", 1)
    seen: list[int] = []

    def work(part: torch.Tensor) -> torch.Tensor:
        seen.append(len(part))
        return part

    pieces.in_pieces(work, torch.ones(5, 1), 1)
    assert seen == [5]


@pytest.mark.parametrize("tokens_per_piece", [1, 7, 150, 1000])
def test_a_feed_forward_in_pieces_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, tokens_per_piece: int
) -> None:
    torch.manual_seed(0)
    layer, tokens = FeedForward(16), torch.randn(2, 3, 25, 16)
    whole = layer(tokens)
    monkeypatch.setattr(pieces, "CPU_PIECE", tokens_per_piece * 8 * 16)
    with torch.no_grad():
        torch.testing.assert_close(layer(tokens), whole)


@pytest.mark.parametrize("frames_per_piece", [1, 2, 100])
def test_a_stem_in_pieces_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, frames_per_piece: int
) -> None:
    torch.manual_seed(0)
    stem, pictures = PictureStem(8, 32), torch.rand(2, 3, 5, 64, 48)
    whole = stem(pictures, 8, 6)
    monkeypatch.setattr(pieces, "CPU_PIECE", frames_per_piece * 32 * 64 * 48)
    with torch.no_grad():
        torch.testing.assert_close(stem(pictures, 8, 6), whole)
