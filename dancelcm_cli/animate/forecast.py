"""What an animation will take, told before it is made, and settings with which it fits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.costs import Costs, known_costs, measured_frames
from dancelcm_cli.animate.outputs import Delivery, plan_outputs
from dancelcm_cli.animate.pipeline import look_at_inputs
from dancelcm_cli.animate.record import Job
from dancelcm_cli.config.schema import AnimateConfig
from dancelcm_cli.core.device import device_name
from dancelcm_cli.core.memory_meter import free_bytes
from dancelcm_cli.core.windows import WindowPlan, plan_windows
from dancelcm_cli.progress import Progress

# Of the latents: those of the step, its noise, what it lands on, the windows' sum, and two on the
# way from one to the other.
LATENT_COPIES = 6


@dataclass(frozen=True)
class Setting:
    """How much is done at once; `offload`: networks that are not at work are on the CPU."""

    windows_at_once: int
    decode_chunk: int
    offload: bool


@dataclass(frozen=True)
class Forecast:
    """What an animation takes. `setting` is None where nothing fits."""

    device: str
    frames: int
    windows: int  # of the first step
    network_calls: int
    seconds: float
    peak_bytes: int  # as `setting` says, or as was asked for where nothing fits
    free_bytes: int
    asked: Setting
    setting: Setting | None


def predict_seconds(plan: WindowPlan, costs: Costs, films: int = 1, on_cpu: bool = True) -> float:
    """Return how long a clip takes with the networks loaded and the poses known.

    With a comparison there are 2 films: it is decoded again, and its frames are thrice as wide.
    Frames are written while the next ones are decoded. On a CPU both need the same cores, so that
    one's time adds to the other's; beside a GPU the shorter one passes unnoticed.
    """
    together = sum if on_cpu else max
    widths = (1, 3)[:films]
    frame = sum(together([costs.decode_seconds, costs.write_seconds * width]) for width in widths)
    return (
        costs.encode_seconds
        + sum(plan.counts) * costs.window_seconds
        + films * costs.film_seconds
        + plan.num_frames * frame
    )


def predict_bytes(
    plan: WindowPlan, costs: Costs, measured: Setting, setting: Setting, idle_bytes: int
) -> int:
    """Return the most memory that a clip takes at a time under `setting`.

    `costs` were measured under `measured`, which tells what was really done at once, see
    `measured_setting`; `idle_bytes` is what an offload takes off the device.
    """
    at_once = min(setting.windows_at_once, max(plan.counts))
    chunk = min(setting.decode_chunk, plan.num_frames)
    windows = costs.window_bytes * at_once // measured.windows_at_once
    decoded = costs.decode_bytes * chunk // measured.decode_chunk
    offloads = setting.offload and not measured.offload
    networks = costs.idle_bytes - (idle_bytes if offloads else 0)
    return networks + max(windows, decoded) + LATENT_COPIES * plan.num_frames * costs.latent_bytes


def measured_setting(config: AnimateConfig, num_frames: int) -> Setting:
    """Return what was done at once when the costs of a clip of `num_frames` were measured.

    That is no more than there is in the short clip that stood for it.
    """
    count = measured_frames(config, num_frames)
    windows = len(plan_windows(count, config.window, config.overlap))
    return Setting(
        min(config.windows_at_once, windows), min(config.decode_chunk, count), config.offload
    )


def choose_setting(needs: Callable[[Setting], int], asked: Setting, free: int) -> Setting | None:
    """Return the setting nearest to `asked` that `needs` at most `free` bytes; None if none does.

    Gives up in this order: frames that are decoded at once, windows that are computed at once,
    networks on the device that are not at work.
    """
    for offload in sorted({asked.offload, True}):
        for windows in _halves(asked.windows_at_once):
            for chunk in _halves(asked.decode_chunk):
                setting = Setting(windows, chunk, offload)
                if needs(setting) <= free:
                    return setting
    return None


def forecast(
    job: Job, delivery: Delivery, load: Callable[[], Animator], progress: Progress
) -> Forecast:
    """Look at a job's inputs and say what making it will take; nothing of it is written.

    The costs are measured on the job itself, the first time that there is one like it.

    Raises:
        InputError: as `animate`.
    """
    image, posing = look_at_inputs(job, delivery, progress)
    started = time.perf_counter()
    animator = load()
    load_seconds = time.perf_counter() - started
    outputs = plan_outputs(job.output, delivery.format)
    with progress.task("Measuring", 1) as advance:
        costs = known_costs(animator, job.model.sha256, image, posing, outputs)
        advance(1, "")
    plan, config = animator.plan(len(posing)), job.recipe.animate
    asked = Setting(config.windows_at_once, config.decode_chunk, config.offload)
    measured = measured_setting(config, len(posing))
    device = animator.pipeline.unet.device

    def needs(setting: Setting) -> int:
        return predict_bytes(plan, costs, measured, setting, animator.idle_network_bytes())

    free, films = free_bytes(device), 2 if delivery.compare else 1
    setting = choose_setting(needs, asked, free)
    return Forecast(
        device_name(device),
        plan.num_frames,
        len(plan.windows(0)),
        sum(plan.counts) * (2 if config.guidance_scale != 1.0 else 1),
        load_seconds + predict_seconds(plan, costs, films, device.type == "cpu"),
        needs(setting or asked),
        free,
        asked,
        setting,
    )


def _halves(most: int) -> list[int]:
    """Return `most`, its half and so on down to 1."""
    return [most >> shift for shift in range(most.bit_length())]
