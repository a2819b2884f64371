"""Too little memory, workers that are killed and GPUs that are not there."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch

from dancelcm_cli.app import app, main
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.preprocess.engine import InProcess, LocalPool
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.progress import SilentProgress
from tests.reliability.stages import contents
from tests.reliability.work import die, fail

PHOTO, DANCE = (str(bundled(f"samples/{name}")) for name in ("reference.png", "driving.mp4"))
ROOT = Path(__file__).parents[2]
LIMITED = 2**62  # bytes that no machine has
# Runs in a process of its own, which gets no more memory than so many MiB once all is imported.
LITTLE_MEMORY = """
import resource, sys
import psutil
import dancelcm_cli.animate.pipeline
from dancelcm_cli.app import app, main
limit = psutil.Process().memory_info().vms + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main(lambda: app(sys.argv[2:]))
"""


def ending(command: Callable[[], object]) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(command)
    return stop.value.code


def test_whoever_runs_out_of_memory_ends_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    wide = np.empty((1, 1), np.uint8)
    for ask in (
        lambda: np.empty(LIMITED, np.uint8),
        lambda: torch.empty(LIMITED, dtype=torch.uint8),
        lambda: cv2.copyMakeBorder(wide, 0, 2**30, 0, 2**30, cv2.BORDER_CONSTANT),
        lambda: bytearray(LIMITED),
    ):
        assert ending(ask) == 4
        error, hint = capsys.readouterr().err.splitlines()
        assert error == "error: Memory ran out." and "smaller" in hint


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.EIO])
def test_what_the_system_has_none_of_is_told(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise OSError(number, os.strerror(number))

    assert ending(command) == (4 if number in (errno.ENOMEM, errno.EAGAIN) else 2)
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint:  ")


@pytest.mark.parametrize("kind", ["MemoryError", "OSError"])
def test_a_worker_tells_of_its_memory_what_happened(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        with LocalPool(1) as engine:
            list(engine.map(partial(fail, kind), range(3)))

    assert ending(command) == 4
    assert "Memory ran out" in capsys.readouterr().err


def test_a_pool_whose_worker_is_killed_is_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> None:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(die, 0).result()

    assert ending(command) == 4
    assert "A worker process was killed" in capsys.readouterr().err


@pytest.mark.slow
def test_a_worker_that_the_system_kills_costs_nothing_but_time(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("10002", "10006"):
        for suffix in (".mp4", ".npz"):
            shutil.copy(bundled(f"samples/dance/{name}{suffix}"), videos)
    recipe = load_recipe("smoke", ["device=cpu", "preprocess.store=frames"])
    killed: list[int] = []
    over = threading.Event()

    def kill_one() -> None:
        """Kill the first worker that has begun to work: it has read a file by then."""
        while not over.is_set() and not killed:
            for worker in psutil.Process().children(recursive=True):
                try:
                    if "spawn_main" in " ".join(worker.cmdline()) and worker.num_threads() > 1:
                        worker.send_signal(signal.SIGKILL)
                        killed.append(worker.pid)
                        return
                except psutil.Error:
                    continue
            time.sleep(0.005)

    for name, engine in (("alone", InProcess()), ("pool", LocalPool(1))):
        killer = threading.Thread(target=kill_one)
        if name == "pool":
            killer.start()
        output = tmp_path / name / "shards"
        preprocess_videos(videos, output, None, recipe, SilentProgress(), engine=engine)
    over.set()
    killer.join()
    assert killed
    assert contents(tmp_path / "alone") == contents(tmp_path / "pool")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on a process's memory")
@pytest.mark.parametrize("megabytes", [1, 10])
def test_an_animation_that_does_not_fit_leaves_earlier_work_alone(
    tmp_path: Path, megabytes: int
) -> None:
    earlier = tmp_path / "dance.mp4"
    earlier.write_bytes(b"an earlier animation")
    typed = ["animate", PHOTO, DANCE, "--overwrite", "--device", "cpu", "-o", str(earlier)]
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, str(megabytes), *typed],
        capture_output=True, text=True, check=False, timeout=300,
        cwd=ROOT, env={**os.environ, "DANCELCM_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "error: Memory ran out." in done.stderr and "Traceback" not in done.stderr
    assert earlier.read_bytes() == b"an earlier animation"
    assert {path.name for path in tmp_path.iterdir()} <= {"dance.mp4", "cache"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(
    "arguments",
    [
        ("preprocess", DANCE, "-o", "out"),
        ("train", "SHARDS", "-o", "out"),
        ("distill", "SHARDS", "-o", "out"),
        ("animate", PHOTO, DANCE, "-o", "out.mp4"),
        ("animate", PHOTO, DANCE, "--dry-run", "-o", "out.mp4"),
        ("evaluate", "--dataset", "dance", "-o", "out"),
    ],
    ids=lambda arguments: " ".join(arguments[:1] + arguments[3:4]),
)
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_that_is_not_there_is_told_before_the_work(
    arguments: tuple[str, ...],
    device: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    assert ending(lambda: app([*arguments, "--device", device])) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: --device {device} must be on this machine, got none."
    assert "--device cpu" in hint
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.mp4").exists()
