"""A render under way: kept beside the animation every minute, so that a stopped one can go on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dancelcm_cli.core.clip_predictor import Denoising
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.core.windows import Fusion
from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.errors import InterruptedRunError
from dancelcm_cli.interrupt import StopRequest

FORMAT_VERSION = 1
SAVE_SECONDS = 60.0  # of work that a killed process loses at most


class Unfinished:
    """The file `path` that keeps how far a denoising has come.

    `describe` tells all that the result depends on: what was made otherwise is not gone on with.
    """

    def __init__(self, path: Path, describe: Callable[[], Mapping[str, object]]) -> None:
        self._path, self._describe = path, describe

    @cached_property
    def _key(self) -> str:
        described = json.dumps([FORMAT_VERSION, self._describe()], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()

    def is_there(self) -> bool:
        """Whether there is something to go on with."""
        return self._path.is_file() and self.read() is not None

    def read(self) -> Denoising | None:
        """Return what was kept; None where that is nothing, or nothing of this making."""
        try:
            with safe_open(self._path, "pt") as file:
                told = file.metadata() or {}
                if told.get("making") != self._key:
                    return None
                names = set(file.keys())
                total = file.get_tensor("total") if "total" in names else None
                fusion = None if total is None else Fusion(int(told["windows"]), total)
                return Denoising(int(told["steps"]), file.get_tensor("latents"), fusion)
        except (OSError, SafetensorError):
            return None

    def write(self, denoising: Denoising) -> None:
        """Keep `denoising` in the place of what was kept before."""
        fusion = denoising.fusion
        tensors = {"latents": denoising.latents.cpu().contiguous()}
        told = {"making": self._key, "steps": str(denoising.steps)}
        if fusion is not None:
            tensors["total"] = fusion.total.cpu().contiguous()
            told["windows"] = str(fusion.done)
        with atomic_path(self._path) as temporary:
            save_file(tensors, temporary, told)

    def remove(self) -> None:
        """Keep nothing."""
        self._path.unlink(missing_ok=True)


class RenderWatch:
    """Is told how far a render has come: shows it, keeps it, and ends it where the user wants that.

    `windows` is the number of windows of each step; `advance` hears of every finished one.
    """

    def __init__(
        self,
        unfinished: Unfinished,
        stop: StopRequest,
        windows: Sequence[int],
        advance: Callable[[int, str], None],
        processes: Processes = ALONE,
    ) -> None:
        self._unfinished, self._stop, self._processes = unfinished, stop, processes
        self._windows, self._advance = windows, advance
        self._shown, self._saved = 0, time.monotonic()
        self._newest: Denoising | None = None

    def __call__(self, denoising: Denoising) -> None:
        """Hear of finished windows, in all processes at once.

        Raises:
            InterruptedRunError: Ctrl-C or SIGTERM in any process; it is kept how far they came.
        """
        self._newest = denoising
        done = self._count(denoising)
        self._advance(done - self._shown, "")
        self._shown = done
        stopping = any(self._processes.gather(self._stop.wanted))
        if stopping or time.monotonic() - self._saved > SAVE_SECONDS:
            self.keep()
        if stopping:
            raise self._interrupted()

    def over(self, frames: Iterable[Frames]) -> Iterator[Frames]:
        """Yield `frames` while the user does not want them to end.

        Raises:
            InterruptedRunError: Ctrl-C or SIGTERM; the latents are kept.
        """
        for frame in frames:
            if self._stop.wanted:
                self.keep()
                raise self._interrupted()
            yield frame

    def _count(self, denoising: Denoising) -> int:
        done = sum(self._windows[: denoising.steps])
        return done if denoising.fusion is None else done + denoising.fusion.done

    def keep(self) -> None:
        """Keep how far it has come, in the first process."""
        if self._newest is not None and self._processes.first:
            self._unfinished.write(self._newest)
        self._saved = time.monotonic()

    def _interrupted(self) -> InterruptedRunError:
        calls = f"{self._shown} of {sum(self._windows)} network calls"
        return InterruptedRunError(f"Stopped after {calls}; nothing is lost.")
