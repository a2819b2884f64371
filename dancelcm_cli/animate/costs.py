"""What the parts of an animation take on this machine, measured once and kept.

Seconds are wall-clock, sizes are bytes. A network call is timed with the drawing and encoding of
the poses of its window, and writing with what brings a frame to the shape in which it is shown.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from dancelcm_cli import __version__
from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.outputs import Outputs, write_animation
from dancelcm_cli.animate.posing import Posing, shown_size
from dancelcm_cli.config.schema import AnimateConfig
from dancelcm_cli.core.clip_predictor import ClipPredictor, Execution
from dancelcm_cli.core.conditioning import PosePictures, StreamedConditions
from dancelcm_cli.core.device import device_name
from dancelcm_cli.core.memory_meter import peak_bytes, restart_peak
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.core.windows import plan_windows
from dancelcm_cli.data.array_cache import cache_folder
from dancelcm_cli.data.atomic import write_json_atomic
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.plain_files import read_json

FORMAT_VERSION = 1
CACHE = "calibration"
TIMED_CALLS = 3  # whose mean counts; one before them warms up
SHORT_FILM, LONG_FILM = 8, 40  # frames; two lengths tell what a film takes besides its frames


@dataclass(frozen=True)
class Costs:
    """What each part takes."""

    encode_seconds: float  # the picture and the face
    window_seconds: float  # a window in a step: a network call, or two under guidance
    decode_seconds: float  # a frame
    film_seconds: float  # to start and finish a film
    write_seconds: float  # a frame
    idle_bytes: int  # networks and libraries while nothing is computed
    window_bytes: int  # besides, for the windows that are computed at once
    decode_bytes: int  # besides, for the frames that are decoded at once
    latent_bytes: int  # the latents of a frame


@dataclass(frozen=True)
class _Beginning:
    """The first frames of a dance, drawn when they are asked for."""

    poses: PosePictures
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, frames: slice) -> Frames:
        start, stop, _ = frames.indices(self.count)
        return self.poses[start:stop]


def known_costs(
    animator: Animator, model_sha256: str, image: Frames, posing: Posing, outputs: Outputs
) -> Costs:
    """Return what was measured before of the same model, sizes and machine, or measure it now."""
    key = _key(animator, model_sha256, image, posing, outputs)
    path = cache_folder(CACHE) / f"{key}.json"
    try:
        return Costs(**read_json(path))
    except (OSError, ValueError, TypeError):
        costs = measure_costs(animator, image, posing, outputs)
    with suppress(OSError):  # a cache that cannot be written is done without
        write_json_atomic(path, asdict(costs))
    return costs


def measure_costs(animator: Animator, image: Frames, posing: Posing, outputs: Outputs) -> Costs:
    """Do each part for real, a little of it."""
    pipeline, config = animator.pipeline, animator.recipe.animate
    device = pipeline.unet.device
    started = time.perf_counter()
    conditions, _ = animator.encode(image, posing)
    _finish(device)
    encode_seconds = time.perf_counter() - started
    restart_peak(device)
    idle = peak_bytes(device)
    with torch.no_grad():
        call, latents, windows = one_call(animator, conditions)
        window_seconds = _mean_seconds(call, device) / windows
        window_bytes = peak_bytes(device) - idle
        restart_peak(device)
        frames = latents[0, :, : config.decode_chunk]
        decode_seconds = _mean_seconds(lambda: list(animator.decode(frames)), device)
    film_seconds, write_seconds = _time_writing(image, posing, outputs)
    return Costs(
        encode_seconds,
        window_seconds,
        decode_seconds / frames.shape[1],
        film_seconds,
        write_seconds,
        idle,
        max(0, window_bytes),
        max(0, peak_bytes(device) - idle),
        latents[0, :, 0].numel() * latents.element_size(),
    )


def measured_frames(config: AnimateConfig, num_frames: int) -> int:
    """Return the length of the clip that stands, when costs are measured, for one of `num_frames`.

    A clip of more than one window is stood for by one of so many as are computed at once, but two
    at least: the poses of a single window are encoded once for all steps.
    """
    stride = config.window - config.overlap
    return min(num_frames, config.window + stride * max(1, config.windows_at_once - 1))


def one_call(
    animator: Animator, conditions: StreamedConditions
) -> tuple[Callable[[], object], Tensor, int]:
    """Return a step of a short clip, its noisy latents `(1, C, F, h, w)`, and how many windows."""
    config, unet = animator.recipe.animate, animator.pipeline.unet
    count = measured_frames(config, conditions.num_frames)
    short = StreamedConditions(conditions.still, _Beginning(conditions.poses, count))
    reference = conditions.reference_latents
    latents = torch.randn(1, reference.shape[1], count, *reference.shape[2:], device=unet.device)
    timesteps = torch.tensor([500], device=unet.device)
    execution = Execution(config.windows_at_once)

    def call() -> None:
        # Anew each time, so that the windows are those of the first step.
        ClipPredictor(unet, short, animator.options, execution)(latents, timesteps)

    return call, latents, len(plan_windows(count, config.window, config.overlap))


def _time_writing(image: Frames, posing: Posing, outputs: Outputs) -> tuple[float, float]:
    """Return the seconds of a film besides its frames, and of a frame."""
    picture = fit_frame(image, *posing.size, posing.fit)
    size = shown_size(image, posing.size, posing.fit)

    def write(folder: Path, count: int) -> float:
        shifted = (np.roll(picture, number, axis=1) for number in range(count))
        frames = (fit_frame(frame, *size, "squash") for frame in shifted)
        path = (folder / str(count)).with_suffix(outputs.animation.suffix)
        started = time.perf_counter()
        write_animation(path, outputs.format, frames, count, Fraction(12), None, {})
        return time.perf_counter() - started

    with TemporaryDirectory() as name:
        write(Path(name), 1)  # warms up
        short, long = (write(Path(name), count) for count in (SHORT_FILM, LONG_FILM))
    each = max(0.0, (long - short) / (LONG_FILM - SHORT_FILM))
    return max(0.0, short - SHORT_FILM * each), each


def _mean_seconds(work: Callable[[], object], device: torch.device) -> float:
    work()
    _finish(device)
    started = time.perf_counter()
    for _ in range(TIMED_CALLS):
        work()
        _finish(device)
    return (time.perf_counter() - started) / TIMED_CALLS


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still does; a CPU returns only when it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _key(
    animator: Animator, model_sha256: str, image: Frames, posing: Posing, outputs: Outputs
) -> str:
    config, unet = animator.recipe.animate, animator.pipeline.unet
    depends: Mapping[str, object] = {
        "format": FORMAT_VERSION,
        "versions": [__version__, str(torch.__version__)],
        "device": [device_name(unet.device), torch.get_num_threads()],
        "model": [model_sha256, str(unet.dtype), config.compile],
        "small_decoder": animator.small_decoder is not None,
        "sizes": [posing.size, shown_size(image, posing.size, posing.fit)],
        "windows": [measured_frames(config, len(posing)), config.window, config.overlap],
        "at_once": [config.windows_at_once, config.decode_chunk],
        "offload": config.offload,
        "guidance": config.guidance_scale != 1.0,
        "poses": posing.motion.kind,
        "film": outputs.format,
    }
    return hashlib.sha256(json.dumps(depends).encode()).hexdigest()
