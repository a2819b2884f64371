from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import OutOfMemoryError
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.preprocess.ray_engine import RayCluster
from dancelcm_cli.progress import SilentProgress, Unit
from tests.preprocess.folders import contents

ray = pytest.importorskip("ray", reason="needs the extra [ray]")

WriteAnnotated = Callable[..., Path]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own


class Killer(SilentProgress):
    """Takes a node away from a cluster once some sources are done."""

    def __init__(self, cluster: Any, node: Any, after: int) -> None:
        self.cluster, self.node, self.after = cluster, node, after
        self.done = 0

    @contextmanager
    def task(
        self, description: str, total: int, completed: int = 0, unit: Unit = "items"
    ) -> Iterator[Callable[[int, str], None]]:
        def advance(count: int, note: str) -> None:
            self.done += count
            if self.done == self.after:
                self.cluster.remove_node(self.node, allow_graceful=False)

        yield advance


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.second = cluster.add_node(**node)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_lost_machine_costs_nothing_and_the_bytes_are_those_of_one_process(
    cluster: Any, tmp_path: Path, model: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    for number in range(8):
        write_annotated(tmp_path / "videos" / f"{number}.mp4", 30 + number)
    alone, spread = tmp_path / "alone" / "shards", tmp_path / "spread" / "shards"
    preprocess_videos(tmp_path / "videos", alone, model, recipe, SilentProgress())
    assert ray.cluster_resources()["CPU"] == 2
    killer = Killer(cluster, cluster.second, after=2)
    preprocess_videos(tmp_path / "videos", spread, model, recipe, killer, engine=RayCluster())
    assert killer.done == 8
    assert cluster.second not in cluster.list_all_nodes()  # Ray itself notices it later
    assert contents(spread) == contents(alone)


def _crash(number: int) -> int:
    os._exit(number)


def test_work_that_kills_its_workers_is_told_in_a_sentence(cluster: Any) -> None:
    with RayCluster() as engine, pytest.raises(OutOfMemoryError, match="killed in a row"):
        list(engine.map(_crash, [1]))
