"""What each cache of an animation saves: the same work with it and without it.

Without a cache the work that it saves is done again wherever it would be: in every step what is
constant over the steps, in every run what is constant over the runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.appearances import Appearances
from dancelcm_cli.animate.costs import known_costs
from dancelcm_cli.animate.motion import read_motion
from dancelcm_cli.animate.outputs import plan_outputs
from dancelcm_cli.animate.people import PersonFinder
from dancelcm_cli.animate.posing import Posing, bring_together
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core import clip_predictor
from dancelcm_cli.core.conditioning import Conditions, EncodedConditions
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.footage import open_footage
from dancelcm_cli.data.images import read_image
from dancelcm_cli.progress import SilentProgress
from tests.benchmarks.long_animation import scratch, write_dance
from tests.benchmarks.tables import Report

RUNS = 3  # of which the quickest counts: what else the machine does only adds to it
NUM_FRAMES, LONG = 16, 48
Work = Callable[[], object]


def quickest(work: Work, runs: int = RUNS) -> float:
    """Return the seconds of the quickest of some runs, after one that warms up."""
    work()
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def once(work: Work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@torch.no_grad()
def compare_caches(report: Report) -> None:
    """Report a row for each cache."""
    with scratch() as folder:
        recipe = load_recipe("tiny", ["device=cpu"])
        animator = Animator(bundled("tiny/student"), recipe)
        image = read_image(bundled("samples/reference.png"))
        short, long = (_posing(animator, image, folder, n) for n in (NUM_FRAMES, LONG))
        rows = [
            *_over_steps(animator, image, short),
            _over_windows(animator, image, long),
            _over_dances(animator, image, short),
            _over_runs(),
            _over_forecasts(animator, image, short),
        ]
    table = [
        (name, what, f"{off:.3f}", f"{on:.3f}", f"{1e3 * (off - on):.1f}", f"{off / on:.2f}")
        for name, what, off, on in rows
    ]
    columns = ("cache", "work", "without, s", "with, s", "saved, ms", "times")
    report.table("Each cache", columns, table)


Row = tuple[str, str, float, float]


def _posing(animator: Animator, image: Frames, folder: Path, num_frames: int) -> Posing:
    dance = write_dance(folder, num_frames)
    motion = read_motion(dance, animator.recipe.animate, animator.finder)
    return bring_together(image, motion, animator.recipe, animator.finder)


def _over_steps(animator: Animator, image: Frames, posing: Posing) -> list[Row]:
    """Time the steps of a clip of one window.

    Network and parts are timed alone and added up: what a small part saves would drown in what one
    run of the network differs from the next.
    """
    unet, num_steps = animator.pipeline.unet, animator.num_steps
    streamed, _ = animator.encode(image, posing)
    conditions = streamed.within(range(len(posing)))
    encoded = unet.encode_conditions(conditions)
    reference = conditions.reference_latents
    latents = torch.randn(1, reference.shape[1], len(posing), *reference.shape[2:])
    timestep = torch.tensor([500])

    network = quickest(lambda: unet(latents, timestep, encoded)) * num_steps
    rows: list[Row] = []
    for name, part in _constant_parts(unet, conditions, encoded).items():
        once_more = quickest(part)
        off, on = network + num_steps * once_more, network + once_more
        rows.append((name, f"{num_steps} network calls", off, on))
    return rows


def _constant_parts(
    unet: DanceUNet, conditions: Conditions, encoded: EncodedConditions
) -> dict[str, Work]:
    """Return what is encoded once for all steps, part by part."""
    height, width = conditions.reference_latents.shape[2:]
    tokens = encoded.context[0].keys.shape[2]
    context = torch.randn(1, tokens, unet.config.context_dim)

    def project() -> None:
        for stage in unet.stages():
            assert stage.spatial is not None
            stage.spatial.attn2.project_context(context, None)

    def encode_reference() -> None:
        latents = conditions.reference_latents
        pose = unet.reference_pose_stem(conditions.reference_pose[:, :, None], height, width)
        unet.reference_stem(latents)
        if unet.reference_projector is not None:
            unet.reference_projector(torch.cat([latents, pose[:, :, 0]], dim=1))

    def encode_face() -> None:
        if unet.face_projector is not None and conditions.face_latents is not None:
            unet.face_projector(conditions.face_latents)

    return {
        "context keys and values": project,
        "pose stem": lambda: unet.encode_frames(conditions),
        "reference features": encode_reference,
        "face tokens": encode_face,
        "all of them": lambda: unet.encode_conditions(conditions),
    }


def _over_windows(animator: Animator, image: Frames, posing: Posing) -> Row:
    """Time a clip of several windows, whose poses are kept for the next steps or drawn again."""
    conditions, _ = animator.encode(image, posing)

    def denoise() -> None:
        animator.pipeline.denoise(conditions, animator.options)

    on = quickest(denoise, runs=1)
    with patch.object(clip_predictor, "KEPT_BYTES", 0):
        off = quickest(denoise, runs=1)
    return "poses of the windows", f"{LONG} frames, noise to latents", off, on


def _over_dances(animator: Animator, image: Frames, posing: Posing) -> Row:
    """Time the encoding of a photo, which a batch of dances needs once."""
    picture = fit_frame(image, *animator.size, posing.fit)
    kept = Appearances(animator.pipeline)

    def encode(appearances: Appearances) -> None:
        appearances.of(picture, None, image)

    off = quickest(lambda: encode(Appearances(animator.pipeline)))
    return "photo's features", "another dance of it", off, quickest(lambda: encode(kept))


def _over_runs() -> Row:
    """Time the search for the dancer in the sample video, the first time and again."""
    clip = open_footage(bundled("samples/driving.mp4"), 12.0)
    indices = range(clip.num_frames)

    def find() -> None:
        PersonFinder("blazepose").in_clip(clip, indices, SilentProgress())

    off = once(find)
    return "found poses", f"{clip.num_frames} frames of a dancer", off, once(find)


def _over_forecasts(animator: Animator, image: Frames, posing: Posing) -> Row:
    """Time the measuring of a `--dry-run`, the first time and again."""
    outputs = plan_outputs(Path("dance.mp4"), None)

    def measure() -> None:
        known_costs(animator, "the bundled student", image, posing, outputs)

    off = once(measure)
    return "measured costs", "--dry-run", off, once(measure)
