"""A few hundred broken files of each kind; `python -m tests.reliability.fuzz` runs them by the
thousand. And that what watches over them sees what it must.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.hostile.campaign import Tally, Worker
from tests.reliability.hostile.kinds import KINDS
from tests.reliability.hostile.limits import MEBIBYTE, MOST_MEMORY, MOST_SECONDS, measured
from tests.reliability.hostile.mutation import mutate
from tests.reliability.hostile.samples import make_jobs

CASES = 150  # of each kind
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure memory"
)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with Worker(tmp_path_factory.mktemp("fuzz")) as worker:
        yield worker


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_broken_files_are_accepted_or_refused_in_a_sentence(worker: Worker, kind: str) -> None:
    tally = worker.run(KINDS[kind], range(CASES))
    assert not tally.failures
    assert tally.accepted + tally.refused == CASES
    assert tally.accepted  # or nothing behind the envelope was ever looked at
    assert tally.refused


@pytest.mark.slow
def test_a_case_that_kills_its_worker_is_one_failure(tmp_path: Path) -> None:
    with Worker(tmp_path) as worker:
        assert not worker.run(KINDS["jobs"], range(2)).failures
        worker.kill()
        tally = worker.run(KINDS["jobs"], range(2, 5))
    (failure,) = tally.failures
    assert failure.seed == 2
    assert tally.cases == 3


def test_a_mutation_is_a_function_of_its_seed() -> None:
    content, others = bytes(range(256)) * 20, [b"other" * 99]
    made = [mutate(content, others, seed) for seed in range(200)]
    assert made == [mutate(content, others, seed) for seed in range(200)]
    assert len(set(made)) > 190
    assert content not in made


def test_memory_and_time_are_measured() -> None:
    with measured() as cost, mmap.mmap(-1, 64 * MEBIBYTE) as block:
        for start in range(0, len(block), mmap.PAGESIZE):
            block[start] = 1
    assert 60 * MEBIBYTE < cost.memory < 200 * MEBIBYTE
    assert cost.seconds > 0


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"seconds": MOST_SECONDS + 1}, "took 61 s"),
        ({"memory": MOST_MEMORY + MEBIBYTE}, "took 1537 MiB"),
        ({"verdict": "failed", "detail": "a traceback"}, "a traceback"),
    ],
)
def test_what_costs_too_much_fails(told: dict[str, object], reason: str) -> None:
    usual = {"seed": 7, "file": "a", "verdict": "refused", "detail": "", "seconds": 0, "memory": 0}
    tally = Tally()
    tally.add(usual)
    tally.add({**usual, **told})
    assert [(failure.seed, failure.reason) for failure in tally.failures] == [(7, reason)]


def test_every_kind_has_files_to_change(tmp_path: Path) -> None:
    make_jobs(tmp_path)
    assert KINDS["jobs"].targets(tmp_path) == [Path("jobs.csv"), Path("short.csv")]
