"""One animation by the bundled model in a process of its own; what it took, as JSON on stdout.

    python -m tests.benchmarks.one_animation DRIVING OUTPUT [--predict]

`--predict` only says how long it would take, as `dancelcm animate --dry-run` does. Otherwise the
clock starts when the model has been loaded, and processor time counts the video encoder's, too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.forecast import forecast
from dancelcm_cli.animate.outputs import Delivery
from dancelcm_cli.animate.pipeline import animate
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.memory_meter import peak_bytes
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.progress import SilentProgress


@dataclass(frozen=True)
class Taken:
    """What an animation took; `seam_ratio` is None where it is a single window."""

    load_seconds: float
    seconds: float
    processor_seconds: float
    peak_bytes: int
    seam_ratio: float | None


def in_a_process(driving: Path, output: Path) -> Taken:
    """Animate the sample picture in a process of its own."""
    return Taken(**_run(driving, output))


def predict_in_a_process(driving: Path, output: Path) -> float:
    """Return how many seconds an animation is said to take."""
    return float(_run(driving, output, "--predict")["predicted"])


def _run(driving: Path, output: Path, *options: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.one_animation", driving, output, *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it started and that ended."""
    of_both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in of_both)


def take(job: Job) -> Taken:
    """Animate, and look at clock and memory."""
    started = time.perf_counter()
    animator = Animator(job.model.path, job.recipe)
    loaded, before = time.perf_counter(), processor_seconds()
    made = animate(job, Delivery(), lambda: animator, SilentProgress())
    return Taken(
        loaded - started,
        time.perf_counter() - loaded,
        processor_seconds() - before,
        peak_bytes(torch.device("cpu")),
        json.loads(made.record.read_text())["seam_ratio"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driving", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--predict", action="store_true")
    given = parser.parse_args()
    recipe, model = load_recipe("tiny", ["device=cpu"]), Model(bundled("tiny/student"))
    job = Job(bundled("samples/reference.png"), given.driving, given.output, model, recipe)
    if not given.predict:
        print(json.dumps(asdict(take(job))))
        return
    told = forecast(job, Delivery(), lambda: Animator(job.model.path, recipe), SilentProgress())
    print(json.dumps({"predicted": told.seconds}))


if __name__ == "__main__":
    main()
