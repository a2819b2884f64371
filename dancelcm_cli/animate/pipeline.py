"""The stage: a picture and a driving clip in, a video and its record out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dancelcm_cli.animate.animator import Animator, Rendering
from dancelcm_cli.animate.keypoint_files import SUFFIX, write_keypoints
from dancelcm_cli.animate.motion import Motion, read_motion, require_driving
from dancelcm_cli.animate.outputs import (
    WITH_SOUND,
    Delivery,
    Format,
    Outputs,
    plan_outputs,
    require_rate,
    require_writable,
    write_animation,
)
from dancelcm_cli.animate.people import PersonFinder
from dancelcm_cli.animate.posing import Posing, bring_together, shown_size
from dancelcm_cli.animate.preview import draw_alignment
from dancelcm_cli.animate.record import Facts, Job, describe_making, make_metadata, make_record
from dancelcm_cli.animate.seams import SeamMeter
from dancelcm_cli.animate.unfinished import RenderWatch, Unfinished
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.atomic import atomic_path, remove_temporaries_of, write_json_atomic
from dancelcm_cli.data.claim import claimed_name
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.sound import Sound, cut_sound, find_sound
from dancelcm_cli.errors import InputError
from dancelcm_cli.interrupt import StopRequest
from dancelcm_cli.progress import Progress, SilentProgress

LoadAnimator = Callable[[], Animator]

NO_FACE = "No face is used: none was found in the reference, or the model reads none."
SMALL_DECODER = "TAESD, the small decoder, made the pixels: details are softer than they will be."


@dataclass(frozen=True)
class Animation:
    """What was written, and how long it took."""

    path: Path
    record: Path
    seconds: float


def animate(
    job: Job,
    delivery: Delivery,
    load: LoadAnimator,
    progress: Progress,
    processes: Processes = ALONE,
) -> Animation:
    """Make the person in the job's picture move like the one in its driving clip.

    Writes the animation at the clip's frame rate with its sound and, beside it, a JSON record of
    everything it takes to make it again; with `delivery.compare` also picture, pose and result
    side by side. The model is loaded, by `load`, once picture and clip have been opened and the
    outputs looked at; who is shown is searched for afterwards. Of several processes, which share
    the windows, the first one writes. What was kept of an interrupted render is gone on with.

    Raises:
        InputError: an input is missing or unreadable, nobody is seen, or an output exists.
        InterruptedRunError: Ctrl-C or SIGTERM; what is done of the render is kept.
        OSError: the disk is full; nothing but what is kept of the render is left behind.
    """
    outputs = plan_outputs(job.output, delivery.format)
    if not processes.first:
        return _make(job, outputs, delivery, load, progress, processes)
    with claimed_name(outputs.animation):
        for path in outputs.paths:
            remove_temporaries_of(path)
        return _make(job, outputs, delivery, load, progress, processes)


def _make(
    job: Job,
    outputs: Outputs,
    delivery: Delivery,
    load: LoadAnimator,
    progress: Progress,
    processes: Processes,
) -> Animation:
    started = time.perf_counter()
    unfinished = Unfinished(outputs.unfinished, partial(describe_making, job, delivery.audio))
    if unfinished.is_there():  # what a killed process had written already is made again
        delivery = replace(delivery, overwrite=True)
    _require_outputs(job, outputs, delivery)
    image = read_image(job.reference)
    require_driving(job.driving, job.recipe.animate)
    animator = load()
    posing = _pose_once(job, image, delivery, animator.finder, progress, processes)
    require_rate(outputs.format, posing.motion.fps)
    sound = _sound(job, posing.motion) if delivery.audio and outputs.format in WITH_SOUND else None
    # A sound that cannot be read is told before the work.
    with cut_sound(sound, outputs.animation) as cut, _all_or_none() as written:
        with StopRequest() as stop:
            rendering, watch = _render(
                animator, image, posing, unfinished, stop, progress, processes
            )
            if processes.first:
                watch.keep()
                if delivery.save_keypoints is not None:
                    _save_keypoints(delivery.save_keypoints, posing.motion)
                    written.append(delivery.save_keypoints)
                meter = SeamMeter(animator.plan(len(posing)).seams)
                film = meter.over(watch.over(rendering.film()))
                films = {outputs.animation: _shown(film, image, posing)}
                if delivery.compare:
                    films[outputs.comparison] = watch.over(_side_by_side(image, rendering))
                for path, frames in films.items():
                    _write_film(path, outputs.format, frames, posing.motion, cut, job)
                    written.append(path)
        seconds = time.perf_counter() - started
        if processes.first:
            facts = Facts(
                posing.motion,
                rendering.has_face,
                cut is not None,
                animator.small_decoder is not None,
                meter.ratio,
                seconds,
            )
            write_json_atomic(outputs.record, make_record(job, delivery.audio, facts))
    if processes.first:
        if not rendering.has_face:
            progress.note(NO_FACE)
        if animator.small_decoder is not None:
            progress.note(SMALL_DECODER)
        unfinished.remove()
    processes.wait()
    return Animation(outputs.animation, outputs.record, seconds)


def _render(
    animator: Animator,
    image: Frames,
    posing: Posing,
    unfinished: Unfinished,
    stop: StopRequest,
    progress: Progress,
    processes: Processes,
) -> tuple[Rendering, RenderWatch]:
    """Denoise, from where an interrupted render came to if there is one."""
    counts = animator.plan(len(posing)).counts
    begun = processes.gather(unfinished.read() if processes.first else None)[0]
    with progress.task("Animating", sum(counts)) as advance:
        watch = RenderWatch(unfinished, stop, counts, advance, processes)
        if begun is not None:
            watch(begun)
            progress.note("Going on with the interrupted render.")
        rendering = animator.render_posing(image, posing, watch, begun, processes)
    return rendering, watch


@contextmanager
def _all_or_none() -> Iterator[list[Path]]:
    """Yield a list of what is written, which is removed if the block raises.

    So what the user or a full disk interrupts is made by the same command, which replaces nothing.
    """
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def _write_film(
    path: Path,
    format: Format,
    frames: Iterable[Frames],
    motion: Motion,
    sound: Path | None,
    job: Job,
) -> None:
    metadata = make_metadata(job)
    write_animation(path, format, frames, motion.num_frames, motion.fps, sound, metadata)


def _pose_once(
    job: Job,
    image: Frames,
    delivery: Delivery,
    finder: PersonFinder,
    progress: Progress,
    processes: Processes,
) -> Posing:
    """Find person and dance in the first process; the others take what it has found and kept."""
    if not processes.first:
        processes.wait()
        return _pose(job, image, replace(delivery, save_keypoints=None), finder, SilentProgress())
    posing = _pose(job, image, delivery, finder, progress)
    processes.wait()
    return posing


def preview(job: Job, delivery: Delivery, progress: Progress) -> Path:
    """Write the contact sheet of the job's picture and poses; the network is not needed.

    Raises:
        InputError: as `animate`.
    """
    sheet = plan_outputs(job.output, delivery.format).alignment
    require_writable(sheet, delivery.overwrite)
    image, posing = _see(job, delivery, progress)
    with atomic_path(sheet) as temporary:
        Image.fromarray(draw_alignment(image, posing)).save(temporary)
    return sheet


def look_at_inputs(job: Job, delivery: Delivery, progress: Progress) -> tuple[Frames, Posing]:
    """Return the job's picture `(H, W, 3)` and dance, as `animate` would find them.

    Raises:
        InputError: as `animate`.
    """
    outputs = plan_outputs(job.output, delivery.format)
    _require_outputs(job, outputs, delivery)
    image, posing = _see(job, delivery, progress)
    require_rate(outputs.format, posing.motion.fps)
    return image, posing


def _see(job: Job, delivery: Delivery, progress: Progress) -> tuple[Frames, Posing]:
    image = read_image(job.reference)
    finder = PersonFinder(job.recipe.animate.pose_detector)
    return image, _pose(job, image, delivery, finder, progress)


def _require_outputs(job: Job, outputs: Outputs, delivery: Delivery) -> None:
    for path in (job.reference, job.driving):
        if path.resolve() in {output.resolve() for output in outputs.paths}:
            raise InputError(
                f"{path} must not be replaced by what is made of it.",
                hint="Choose another --output.",
            )
    folder = outputs.format == "png"
    require_writable(outputs.animation, delivery.overwrite, folder)
    require_writable(outputs.record, delivery.overwrite)
    if delivery.compare:
        require_writable(outputs.comparison, delivery.overwrite, folder)


def _pose(
    job: Job, image: Frames, delivery: Delivery, finder: PersonFinder, progress: Progress
) -> Posing:
    """Find the person and the dance, and tell what is strange about them."""
    if delivery.save_keypoints is not None:
        _require_keypoint_file(delivery.save_keypoints, delivery.overwrite)
    motion = read_motion(job.driving, job.recipe.animate, finder, progress)
    if delivery.save_keypoints is not None and motion.keypoints is None:
        raise InputError(
            f"{job.driving} must show a person to save keypoints of, but it shows drawn poses.",
            hint="Leave out --save-keypoints, or say --driving person.",
        )
    posing = bring_together(image, motion, job.recipe, finder)
    for path, people in ((job.reference, posing.people), (job.driving, motion.people)):
        if people > 1 and job.recipe.animate.several == "refuse":
            raise InputError(
                f"{path} must show one person, but {people} are seen.",
                hint="Cut the others off, or type --several largest to take the largest.",
            )
        if people > 1:
            progress.note(f"{people} people are seen in {path}: the largest is taken.")
    return posing


def _require_keypoint_file(path: Path, overwrite: bool) -> None:
    if path.suffix != SUFFIX:
        named = path if path.name else path / "dance"
        raise InputError(
            f"--save-keypoints must be an {SUFFIX} file, got {path}.",
            hint=f"Type --save-keypoints {named.with_suffix(SUFFIX)}",
        )
    require_writable(path, overwrite)


def _save_keypoints(path: Path, motion: Motion) -> None:
    assert motion.keypoints is not None  # `_pose` refuses drawn poses
    write_keypoints(path, motion.keypoints, motion.fps, motion.size)


def _sound(job: Job, motion: Motion) -> Sound | None:
    """Return the sound of what is shown of a driving video."""
    if motion.clip is None or motion.clip.pictures:
        return None
    return find_sound(job.driving, motion.seconds)


def _shown(frames: Iterable[Frames], image: Frames, posing: Posing) -> Iterator[Frames]:
    """Undo the squeeze: give the frames the picture's aspect ratio at the model's height."""
    size = shown_size(image, posing.size, posing.fit)
    return (fit_frame(frame, *size, "squash") for frame in frames)


def _side_by_side(image: Frames, rendering: Rendering) -> Iterator[Frames]:
    posing = rendering.posing
    size = shown_size(image, posing.size, posing.fit)
    picture = fit_frame(image, *size, "squash")
    poses = _shown(rendering.pose_film(), image, posing)
    for pose, frame in zip(poses, _shown(rendering.film(), image, posing), strict=True):
        yield np.concatenate([picture, pose, frame], axis=1)
