"""The stages of preprocessing as functions of their input, wherever they run.

`encode` runs on the networks' device, the others need a CPU. What they load is kept for the next
call in the same process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from dancelcm_cli.config.schema import Device, PreprocessConfig
from dancelcm_cli.core.device import pick_device, require_device
from dancelcm_cli.core.model_folder import load_image_encoder, load_vae
from dancelcm_cli.data.footage import Footage, footage_sha256, open_footage
from dancelcm_cli.errors import InputError
from dancelcm_cli.preprocess.current import CurrentVideo
from dancelcm_cli.preprocess.drafts import Drafter
from dancelcm_cli.preprocess.encoding import Encoder
from dancelcm_cli.preprocess.filters import Frames, Rejection
from dancelcm_cli.preprocess.jobs import Candidate, Draft, Job, LeftOut, Reading, Survey
from dancelcm_cli.preprocess.poses import PoseFinder
from dancelcm_cli.preprocess.screening import screen_windows
from dancelcm_cli.preprocess.sources import Source
from dancelcm_cli.preprocess.stopwatch import Stopwatch
from dancelcm_cli.preprocess.windows import Window, frames_of


@dataclass(frozen=True)
class StageSettings:
    """What the stages depend on."""

    config: PreprocessConfig
    device: Device
    detector: str  # the pose detector that "auto" stands for
    model: Path | None  # whose networks encode; None where frames are stored
    cell: int | None  # the reduction of its autoencoder, pixels


def fingerprint(source: Source) -> Candidate:
    """Hash a source."""
    try:
        return Candidate(source, footage_sha256(source.path))
    except InputError as error:
        return Candidate(source, None, error.message)


def survey(settings: StageSettings, candidate: Candidate) -> Survey:
    """Look how long a candidate is, and what it is made of."""
    if candidate.sha256 is None:
        return Survey(candidate, error=candidate.error)
    try:
        footage = open_footage(candidate.source.path, settings.config.folder_fps)
    except InputError as error:
        return Survey(candidate, error=error.message)
    return Survey(candidate, footage)


def read(settings: StageSettings, job: Job) -> Reading:
    """Decode a job's windows, find the person in them and judge them."""
    if job.footage is None:
        return Reading(job, error=job.error)
    parts: list[Draft | LeftOut] = []
    watch, current = Stopwatch(), _current(settings)
    error = device = ""
    try:
        if job.rejection is not None:
            parts += [_left_out_unseen(job.footage, w, job.rejection) for w in job.windows]
            return Reading(job, tuple(parts))
        poses = current.open(job, job.footage)
        device = poses.device
        frames = current.frames(job.footage, frames_of(job.windows))
        for part in screen_windows(frames, job.windows, poses, settings.config, watch):
            if part.rejection is None:
                with watch.of("draft", len(part.window)):
                    parts.append(_drafter(settings).draft(job.name, job.fps, part))
                continue
            middle = part.frames[len(part.frames) // 2]
            parts.append(_left_out(job.footage, part.window, part.rejection, middle))
    except InputError as failure:
        error = failure.message
    if job.last or error:
        current.close()
    return Reading(job, tuple(parts), error, device, watch)


def encode(settings: StageSettings, reading: Reading) -> Reading:
    """Turn the drafts of a reading into clips."""
    if not any(isinstance(part, Draft) for part in reading.parts):
        return reading
    encoder, frames = _encoder(settings), sum(map(_num_drafted, reading.parts))
    with reading.watch.of("encode", frames):
        parts = tuple(
            encoder.encode(part) if isinstance(part, Draft) else part for part in reading.parts
        )
    return replace(reading, parts=parts)


def _num_drafted(part: object) -> int:
    return len(part.frames) if isinstance(part, Draft) else 0


def _left_out_unseen(footage: Footage, window: Window, rejection: Rejection) -> LeftOut:
    (middle,) = footage.frames([window.indices[len(window) // 2]])
    return _left_out(footage, window, rejection, middle)


def _left_out(footage: Footage, window: Window, rejection: Rejection, frame: Frames) -> LeftOut:
    """Return a part that becomes no clip, its time in seconds to the millisecond."""
    start, last = (float(footage.times[window.indices[place]]) for place in (0, -1))
    span = round(start, 3), round(last + 1 / float(footage.fps), 3)
    return LeftOut(rejection, window, span, frame)


@lru_cache(maxsize=1)
def _current(settings: StageSettings) -> CurrentVideo:
    device = require_device(settings.device)
    return CurrentVideo(PoseFinder(settings.config, settings.detector, device))


@lru_cache(maxsize=1)
def _drafter(settings: StageSettings) -> Drafter:
    return Drafter(settings.config, settings.cell)


@lru_cache(maxsize=1)
def _encoder(settings: StageSettings) -> Encoder:
    if settings.model is None:
        return Encoder(None, None)
    device, image_encoder = pick_device(settings.device), load_image_encoder(settings.model)
    return Encoder(
        load_vae(settings.model).to(device),
        None if image_encoder is None else image_encoder.to(device),
    )
