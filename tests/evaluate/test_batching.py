import pytest

from dancelcm_cli.evaluate.batching import collect, deal, in_batches


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_what_is_dealt_is_collected_in_its_order(count: int) -> None:
    items = list(range(7))
    shares = [deal(items, rank, count) for rank in range(count)]
    assert collect(shares) == items


def test_batches_hold_all_items() -> None:
    assert list(in_batches("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
