"""Many animations in one run: the model is loaded once, and one failure does not stop the rest.

Nothing is noted down about a batch but the animations' own records. So the same batch started
again skips what was made from the same files by the same model and recipe, whoever made it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.outputs import Delivery, plan_outputs
from dancelcm_cli.animate.pipeline import animate
from dancelcm_cli.animate.record import Job, is_made
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.errors import DanceLCMError, InterruptedRunError, refused_by_system
from dancelcm_cli.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What became of a job, how many seconds that took, and why it failed."""

    job: Job
    state: Literal["done", "skipped", "failed"]
    seconds: float = 0.0
    reason: str = ""


class SharedAnimator:
    """Loads the model when the first job needs it, and keeps it for the others."""

    def __init__(self) -> None:
        self._animator: Animator | None = None

    def load(self, job: Job) -> Animator:
        """Return the animator for a job."""
        if self._animator is None:
            self._animator = Animator(job.model.path, job.recipe)
            return self._animator
        return self._animator.with_recipe(job.recipe)


def run_batch(
    jobs: Sequence[Job], delivery: Delivery, progress: Progress, processes: Processes = ALONE
) -> list[Result]:
    """Make the animations of `jobs`, which share a model; finished ones are skipped.

    Of several processes each makes some, and all return what became of all.

    Raises:
        InterruptedRunError: the user stopped it; the same batch again skips what is finished.
    """
    animator, own = SharedAnimator(), jobs[processes.rank :: processes.count]
    results: list[Result] = []
    with progress.task("Jobs", len(own)) as advance:
        for job in own:
            try:
                results.append(_attempt(job, delivery, animator, progress))
            except (KeyboardInterrupt, InterruptedRunError):
                raise InterruptedRunError(
                    f"Interrupted after {len(results)} of {len(own)} jobs, which are kept."
                ) from None
            advance(1, f"{results[-1].state} {job.output.name}")
    shares = processes.gather(results)
    return [shares[i % processes.count][i // processes.count] for i in range(len(jobs))]


def _attempt(job: Job, delivery: Delivery, animator: SharedAnimator, progress: Progress) -> Result:
    started = time.perf_counter()
    try:
        if _is_finished(job, delivery):
            return Result(job, "skipped")
        animate(job, delivery, partial(animator.load, job), progress)
    except InterruptedRunError:
        raise
    except DanceLCMError as error:
        return _failed(job, started, error.message)
    except OSError as error:
        return _failed(job, started, refused_by_system(error).message)
    except Exception as error:  # the other jobs may well be made
        logger.debug("%s failed", job.output, exc_info=True)
        return _failed(job, started, f"{type(error).__name__}: {error}")
    return Result(job, "done", time.perf_counter() - started)


def _is_finished(job: Job, delivery: Delivery) -> bool:
    outputs = plan_outputs(job.output, delivery.format)
    wanted = [outputs.animation, *([outputs.comparison] if delivery.compare else [])]
    there = all(path.exists() for path in wanted)
    # What a killed process was still writing is written again.
    done = there and not outputs.unfinished.exists()
    return done and is_made(job, delivery.audio, outputs.record)


def _failed(job: Job, started: float, reason: str) -> Result:
    return Result(job, "failed", time.perf_counter() - started, " ".join(reason.split()))
