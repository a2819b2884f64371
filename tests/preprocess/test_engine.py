from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import OutOfMemoryError
from dancelcm_cli.preprocess.engine import AHEAD, InProcess, LocalPool
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.progress import SilentProgress
from tests.preprocess.folders import contents
from tests.preprocess.work import die, die_once, double

WriteAnnotated = Callable[..., Path]


def test_this_process_takes_one_input_at_a_time() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    with InProcess() as engine:
        results = engine.chain(double, double, numbers())
        assert next(results) == 0 and taken == [0]
        assert list(results) == [4, 8, 12, 16]


def test_a_pool_keeps_the_order_and_a_few_inputs_at_a_time() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    with LocalPool(2) as engine:
        results = engine.chain(double, double, engine.map(double, numbers()))
        first = next(results)
        assert len(taken) <= 2 * (2 * AHEAD + 1)  # of two stages, one after the other
        assert [first, *results] == [8 * number for number in range(20)]


def test_what_a_killed_worker_did_is_done_again(tmp_path: Path) -> None:
    with LocalPool(2) as engine:
        numbers = engine.map(partial(die_once, tmp_path / "died"), range(10))
        assert list(engine.map(double, numbers)) == [4 * number for number in range(10)]
    assert (tmp_path / "died").exists()


def test_workers_that_always_die_end_the_run() -> None:
    with LocalPool(1) as engine, pytest.raises(OutOfMemoryError, match="were killed in a row"):
        list(engine.map(die, range(3)))


@pytest.mark.slow
def test_a_pool_writes_the_bytes_of_one_process(
    tmp_path: Path, model: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    for name, frames in (("a.mp4", 30), ("b.mp4", 7), ("c.mp4", 3), ("more/d.mp4", 9)):
        write_annotated(tmp_path / "videos" / name, frames)
    (tmp_path / "videos" / "broken.mp4").write_text("no video")
    (tmp_path / "videos" / "copy.mp4").write_bytes((tmp_path / "videos" / "a.mp4").read_bytes())
    for name, engine in (("alone", InProcess()), ("pool", LocalPool(2))):
        output = tmp_path / name / "shards"
        preprocess_videos(
            tmp_path / "videos", output, model, recipe, SilentProgress(), engine=engine
        )
    assert contents(tmp_path / "alone") == contents(tmp_path / "pool")
