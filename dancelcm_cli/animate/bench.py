"""Where the time of an animation goes, and how far it is from what the device could do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.costs import Costs, measure_costs, one_call
from dancelcm_cli.animate.motion import read_motion
from dancelcm_cli.animate.outputs import plan_outputs
from dancelcm_cli.animate.posing import Posing, bring_together
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.arithmetic import count_flops, peak_rate
from dancelcm_cli.core.conditioning import StreamedConditions
from dancelcm_cli.core.device import device_name
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.images import read_image
from dancelcm_cli.progress import Progress

LOOKED_AT = 8  # driving frames in which the person is searched for


@dataclass(frozen=True)
class Stage:
    """A stage's wall-clock seconds for a frame, and the least its arithmetic takes, if counted."""

    name: str
    seconds: float
    floor_seconds: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times longer it takes than the floor."""
        return self.seconds / self.floor_seconds if self.floor_seconds else None


@dataclass(frozen=True)
class Bench:
    """What was measured of a clip of `num_frames`; `rate` is in operations/s."""

    device: str
    num_frames: int
    steps: int
    rate: float
    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """Of a frame, all stages together."""
        return sum(stage.seconds for stage in self.stages)


def bench(model: Path, recipe: Recipe, progress: Progress) -> Bench:
    """Measure each stage on the sample picture and dance, a little of it.

    Raises:
        InputError: there is no model there.
    """
    with progress.task("Measuring", 3) as advance:
        animator = Animator(model, recipe)
        image = read_image(bundled("samples/reference.png"))
        motion = read_motion(bundled("samples/driving.mp4"), recipe.animate, animator.finder)
        posing = bring_together(image, motion, recipe, animator.finder)
        found = _time_finding(animator, posing)
        advance(1, "")
        costs = measure_costs(animator, image, posing, plan_outputs(Path("bench.mp4"), None))
        advance(1, "")
        network = animator.pipeline.unet
        rate = peak_rate(network.device, network.dtype)
        conditions, _ = animator.encode(image, posing)
        stages = _stages(animator, posing, costs, found, _count(animator, conditions), rate)
        advance(1, "")
    device = device_name(network.device)
    return Bench(device, len(posing), animator.num_steps, rate, stages)


def _stages(
    animator: Animator,
    posing: Posing,
    costs: Costs,
    found: float,
    flops: tuple[int, int],
    rate: float,
) -> tuple[Stage, ...]:
    frames = len(posing)
    windows = sum(animator.plan(frames).counts) / frames
    of_window, of_frame = flops
    return (
        Stage("find the dancer", found),
        Stage("encode the picture", costs.encode_seconds / frames),
        Stage("network", windows * costs.window_seconds, windows * of_window / rate),
        Stage("decode", costs.decode_seconds, of_frame / rate),
        Stage("write", costs.write_seconds + costs.film_seconds / frames),
    )


def _time_finding(animator: Animator, posing: Posing) -> float:
    """Return the seconds in which the person of a driving frame is found, without any cache."""
    frames = list(posing.motion.frames(range(min(LOOKED_AT, len(posing)))))
    animator.finder.detect(frames[:1])  # loads the detector
    started = time.perf_counter()
    animator.finder.detect(frames)
    return (time.perf_counter() - started) / len(frames)


@torch.no_grad()
def _count(animator: Animator, conditions: StreamedConditions) -> tuple[int, int]:
    """Return the operations of a window in a step, and of decoding a frame."""
    call, latents, windows = one_call(animator, conditions)
    decode = partial(animator.pipeline.decode, decoder=animator.small_decoder)
    of_windows = count_flops(call)
    of_frame = count_flops(lambda: list(decode(latents[0, :, :1], 1)))
    return of_windows // windows, of_frame
