from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.ahead import ahead

PATIENCE = 60.0  # seconds until a test that hangs fails


@given(st.lists(st.one_of(st.integers(), st.none())), st.integers(1, 5))
def test_items_come_as_they_are(items: list[int | None], count: int) -> None:
    assert list(ahead(iter(items), count)) == items


def test_the_next_item_is_made_while_one_is_in_use() -> None:
    begun = [threading.Event() for _ in range(4)]

    def make() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number in ahead(make(), 1):
        if number + 1 < len(begun):  # would wait in vain for one that is made afterwards
            assert begun[number + 1].wait(PATIENCE)


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_is_made_than_was_agreed(count: int) -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    for number in ahead(make(), count):
        assert len(made) <= number + 1 + count


def test_an_error_comes_where_the_item_would_be() -> None:
    def make() -> Iterator[int]:
        yield 0
        yield 1
        raise OSError("the disk is gone")

    taken = []
    with pytest.raises(OSError, match="the disk is gone"):
        for number in ahead(make(), 4):
            taken.append(number)
    assert taken == [0, 1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_who_stops_taking_stops_the_making(error: type[BaseException]) -> None:
    before, made = threading.active_count(), []

    def make() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    items = ahead(make(), 2)
    with pytest.raises(error):
        for number in items:
            if number == 3:
                raise error
    items.close()  # type: ignore[attr-defined]
    assert len(made) <= 3 + 1 + 2
    assert threading.active_count() == before


def test_settings_of_the_compiler_hold_in_the_thread() -> None:
    with torch._dynamo.config.patch(recompile_limit=77):
        limits = ahead((torch._dynamo.config.recompile_limit for _ in range(2)), 1)
        assert list(limits) == [77, 77]
