"""What predictions cost to make: network calls, time and memory, kept beside them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from dancelcm_cli.core.memory_meter import peak_bytes, restart_peak
from dancelcm_cli.data.atomic import write_json_atomic
from dancelcm_cli.plain_files import read_json

COST_SUFFIX = ".cost.json"  # VIDEO.cost.json lies beside the folder VIDEO


@dataclass(frozen=True)
class Cost:
    """What an animation costs; `memory` is in bytes, None where it was not recorded.

    `network_calls` are those of a window of frames. `seconds_per_frame` is the median over videos,
    so that of three or more what a process does only once, such as compiling or loading detectors,
    does not count; the model is loaded before. `memory` is the most that tensors took on a GPU
    while a video was made; without a GPU it is the most that the process took meanwhile, and where
    the system cannot forget an earlier peak, as only Linux can, since it started.
    """

    network_calls: int
    seconds_per_frame: float
    memory: int | None


@contextmanager
def record_cost(video: Path, num_frames: int) -> Iterator[None]:
    """Keep beside the folder `video` how long each of its `num_frames` takes to be made."""
    device = _measured_device()
    restart_peak(device)
    start = time.perf_counter()
    yield
    seconds = (time.perf_counter() - start) / num_frames
    write_json_atomic(_path(video), {"seconds_per_frame": seconds, "memory": peak_bytes(device)})


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


def _measured_device() -> torch.device:
    """Return the GPU if this process computes on one, else the CPU, whose memory is its own."""
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.device("cuda" if on_gpu else "cpu")


def _path(video: Path) -> Path:
    return video.with_name(f"{video.name}{COST_SUFFIX}")
