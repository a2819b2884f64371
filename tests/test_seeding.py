from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.seeding import stream_seed

seeds = st.integers(min_value=0, max_value=2**63 - 1)
names = st.lists(st.one_of(st.text("abc:/ ", max_size=4), st.integers(0, 99)), max_size=3)


@given(seed=seeds, name=names)
def test_a_stream_seed_is_a_number_that_every_generator_takes(
    seed: int, name: list[str | int]
) -> None:
    assert 0 <= stream_seed(seed, *name) < 2**63
    assert stream_seed(seed, *name) == stream_seed(seed, *name)


@given(one=st.tuples(seeds, names), other=st.tuples(seeds, names))
def test_other_names_are_other_streams(
    one: tuple[int, list[str | int]], other: tuple[int, list[str | int]]
) -> None:
    texts = [[str(part) for part in (seed, *name)] for seed, name in (one, other)]
    seeds_are_equal = stream_seed(one[0], *one[1]) == stream_seed(other[0], *other[1])
    assert seeds_are_equal == (texts[0] == texts[1])


def test_the_parts_of_a_name_do_not_run_together() -> None:
    assert stream_seed(0, "step", 11) != stream_seed(0, "step1", 1)
    assert stream_seed(1, "noise") != stream_seed(0, "1", "noise")


def test_seeds_stay_what_they_were_so_that_old_results_can_be_repeated() -> None:
    assert stream_seed(0, "noise", 17) == 5_921_332_432_858_475_538
