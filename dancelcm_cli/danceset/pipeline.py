"""The stage: a seed in, a folder of rendered clips with exact keypoints out."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from dancelcm_cli.danceset.clip import render_scene
from dancelcm_cli.danceset.files import claim_folder, clip_path, write_clip
from dancelcm_cli.danceset.preview import write_contact_sheet
from dancelcm_cli.danceset.renderer import Renderer, open_context
from dancelcm_cli.danceset.scene import draw_scene
from dancelcm_cli.danceset.settings import DanceSetSettings
from dancelcm_cli.data.atomic import remove_temporaries
from dancelcm_cli.data.claim import claimed
from dancelcm_cli.errors import InterruptedRunError, OutOfMemoryError
from dancelcm_cli.progress import Progress

# The processes share the cores: more threads in each would only get into each other's way.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


@dataclass(frozen=True)
class DanceSetSummary:
    """What a run left behind."""

    output: Path
    num_clips: int  # of those that were asked for: all of them
    rendered: int  # by this run
    seconds: float


def render_danceset(
    output: Path, settings: DanceSetSettings, progress: Progress
) -> DanceSetSummary:
    """Fill the folder `output` with clips, and draw a contact sheet of it.

    A clip depends on the seed, its index and its size alone. One that is there already is left as
    it is: a repeated run does what is missing, another `first` extends the set.

    Raises:
        InputError: EGL is missing; `output` is in use, or was made otherwise.
        InterruptedRunError: Ctrl-C was pressed.
        OutOfMemoryError: A process was killed.
    """
    started = time.perf_counter()
    renderer = _describe_renderer()
    with claimed(output):
        claim_folder(output, settings, renderer)
        remove_temporaries(output)
        missing = [i for i in settings.indices if not clip_path(output, i).exists()]
        if missing:
            _render_all(output, settings, missing, progress)
        else:
            progress.note(f"All {settings.num_clips} clips are there already: nothing new.")
        write_contact_sheet(
            output / "danceset.png", [clip_path(output, index) for index in settings.indices]
        )
    seconds = time.perf_counter() - started
    return DanceSetSummary(output, settings.num_clips, len(missing), seconds)


def render_clip(output: Path, settings: DanceSetSettings, index: int) -> None:
    """Render clip `index` and write it into `output`."""
    size = (settings.height, settings.width)
    scene = draw_scene(settings.seed, index, settings.num_frames, size)
    write_clip(output, index, render_scene(scene, _renderer(*size)))


def _render_all(
    output: Path, settings: DanceSetSettings, missing: list[int], progress: Progress
) -> None:
    total, done = settings.num_clips, settings.num_clips - len(missing)
    try:
        with (
            _workers(min(settings.workers, len(missing))) as pool,
            progress.task("Rendering", total, done) as advance,
        ):
            clips: dict[Future[None], int] = {
                pool.submit(render_clip, output, settings, index): index for index in missing
            }
            for clip in as_completed(clips):
                clip.result()
                advance(1, clip_path(output, clips[clip]).name)
    except KeyboardInterrupt:
        done = sum(clip_path(output, index).exists() for index in settings.indices)
        raise InterruptedRunError(f"Interrupted; {done} of {total} clips are there.") from None
    except BrokenProcessPool as error:
        raise OutOfMemoryError(
            "A process that renders was killed, most likely because memory ran out.",
            hint="Run the command again with fewer --workers: it continues where it stopped.",
        ) from error


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes that die at once if the block raises, or if this process dies."""
    spawn = get_context("spawn")
    lifeline, end = spawn.Pipe(duplex=False)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # read by NumPy and Mesa as soon as a worker loads them
    pool = ProcessPoolExecutor(count, spawn, _start_worker, (lifeline,))
    try:
        yield pool
    except BaseException:
        end.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        end.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker(lifeline: Connection) -> None:
    """Leave Ctrl-C to the parent, and live no longer than its end of `lifeline` is open."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()


def _die_with(lifeline: Connection) -> None:
    with suppress(EOFError):
        lifeline.recv_bytes()  # nothing is ever sent
    os._exit(1)  # what is being written is under a temporary name


@cache
def _renderer(height: int, width: int) -> Renderer:
    return Renderer(height, width)


def _describe_renderer() -> str:
    context = open_context()
    name = f"{context.info['GL_RENDERER']}, {context.info['GL_VERSION']}"
    context.release()
    return name
