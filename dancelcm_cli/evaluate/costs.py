"""What predictions cost to make: network calls, time and memory, kept beside them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.core.device import peak_memory
from dancelcm_cli.data.atomic import write_json_atomic
from dancelcm_cli.plain_files import read_json

COST_SUFFIX = ".cost.json"  # VIDEO.cost.json lies beside the folder VIDEO


@dataclass(frozen=True)
class Cost:
    """What an animation costs; `memory` is in bytes, None where the system does not tell.

    `network_calls` are those of a window of frames. `seconds_per_frame` is the median over videos,
    so that the first one's loading of the model does not count; `memory` is the most that the
    process, or on a GPU its tensors, took.
    """

    network_calls: int
    seconds_per_frame: float
    memory: int | None


@contextmanager
def record_cost(video: Path, num_frames: int) -> Iterator[None]:
    """Keep beside the folder `video` how long each of its `num_frames` takes to be made."""
    start = time.perf_counter()
    yield
    seconds = (time.perf_counter() - start) / num_frames
    cost = {"seconds_per_frame": seconds, "memory": peak_memory()}
    write_json_atomic(_path(video), cost)


def read_cost(folder: Path, videos: Sequence[str], network_calls: int) -> Cost | None:
    """Return what the predictions of `videos` in `folder` cost; None where nobody recorded it."""
    paths = [_path(folder / video) for video in videos]
    try:
        records = [read_json(path) for path in paths]
        seconds = statistics.median(record["seconds_per_frame"] for record in records)
        memories = [record["memory"] for record in records if record["memory"] is not None]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Cost(network_calls, float(seconds), max(memories, default=None))


def _path(video: Path) -> Path:
    return video.with_name(f"{video.name}{COST_SUFFIX}")
