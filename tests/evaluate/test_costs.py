import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dancelcm_cli.core.device import peak_memory
from dancelcm_cli.evaluate.costs import Cost, read_cost, record_cost


def write(folder: Path, video: str, seconds: float, memory: int | None) -> None:
    record = {"seconds_per_frame": seconds, "memory": memory}
    (folder / f"{video}.cost.json").write_text(json.dumps(record))


def test_the_median_video_tells_the_time_and_the_largest_the_memory(tmp_path: Path) -> None:
    for video, seconds, memory in (("a", 9.0, 10), ("b", 1.0, 30), ("c", 2.0, None)):
        write(tmp_path, video, seconds, memory)
    assert read_cost(tmp_path, ["a", "b", "c"], 4) == Cost(4, 2.0, 30)


def test_what_is_not_known_of_every_video_is_not_told(tmp_path: Path) -> None:
    write(tmp_path, "a", 1.0, 10)
    assert read_cost(tmp_path, ["a", "b"], 4) is None


def test_making_is_timed_for_each_frame(tmp_path: Path) -> None:
    with record_cost(tmp_path / "a", 1_000_000):
        pass
    cost = read_cost(tmp_path, ["a"], 1)
    assert cost is not None and 0 <= cost.seconds_per_frame < 1e-3


def test_what_failed_has_no_cost(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), record_cost(tmp_path / "a", 3):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot forget a peak")
def test_what_was_taken_before_does_not_count(tmp_path: Path) -> None:
    earlier = np.ones(200_000_000, np.uint8)
    before = peak_memory()
    del earlier
    with record_cost(tmp_path / "a", 1):
        pass
    cost = read_cost(tmp_path, ["a"], 1)
    assert cost is not None and cost.memory is not None and before is not None
    assert cost.memory < before - 100_000_000


@pytest.mark.gpu
def test_what_other_rows_took_of_a_gpu_does_not_count(tmp_path: Path) -> None:
    earlier = torch.ones(200_000_000, dtype=torch.uint8, device="cuda")
    del earlier
    with record_cost(tmp_path / "a", 1):
        torch.ones(1_000_000, dtype=torch.uint8, device="cuda")
    cost = read_cost(tmp_path, ["a"], 1)
    assert cost is not None and cost.memory is not None
    assert 1_000_000 <= cost.memory < 100_000_000
