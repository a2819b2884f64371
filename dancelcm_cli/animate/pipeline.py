"""The stage: a picture and a driving clip in, a video and its record out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dancelcm_cli.animate.animator import Animator, Rendering
from dancelcm_cli.animate.keypoint_files import SUFFIX, write_keypoints
from dancelcm_cli.animate.motion import Motion, read_motion
from dancelcm_cli.animate.outputs import (
    WITH_SOUND,
    Delivery,
    plan_outputs,
    require_writable,
    write_animation,
    writing,
)
from dancelcm_cli.animate.people import PersonFinder
from dancelcm_cli.animate.posing import Posing, bring_together, shown_size
from dancelcm_cli.animate.preview import draw_alignment
from dancelcm_cli.animate.record import Facts, Job, make_metadata, make_record
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.atomic import atomic_path, write_json_atomic
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.sound import Sound, cut_sound, find_sound
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import Progress

LoadAnimator = Callable[[], Animator]


@dataclass(frozen=True)
class Animation:
    """What was written, and how long it took."""

    path: Path
    record: Path
    seconds: float


def animate(job: Job, delivery: Delivery, load: LoadAnimator, progress: Progress) -> Animation:
    """Make the person in the job's picture move like the one in its driving clip.

    Writes the animation at the clip's frame rate with its sound and, beside it, a JSON record of
    everything it takes to make it again; with `delivery.compare` also picture, pose and result
    side by side. The model is loaded, by `load`, once the inputs and outputs have been looked at.

    Raises:
        InputError: an input is missing or unreadable, nobody is seen, or an output exists.
    """
    started = time.perf_counter()
    outputs = plan_outputs(job.output, delivery.format)
    frames_folder = outputs.format == "png"
    require_writable(outputs.animation, delivery.overwrite, frames_folder)
    require_writable(outputs.record, delivery.overwrite)
    if delivery.compare:
        require_writable(outputs.comparison, delivery.overwrite, frames_folder)
    image = read_image(job.reference)
    animator = load()
    posing = _pose(job, image, delivery, animator.finder, progress)
    sound = _sound(job, posing.motion) if delivery.audio and outputs.format in WITH_SOUND else None
    # What cannot be read or written is told before the work where it can be known then.
    with writing(outputs.animation), cut_sound(sound, outputs.animation) as cut:
        with progress.task("Animating", job.recipe.animate.steps) as advance:
            rendering = animator.render_posing(image, posing, lambda index: advance(1, ""))
        if not rendering.has_face:
            progress.note("No face is used: the reference shows none, or the model reads none.")
        frames = _shown(rendering.frames, image, posing)
        fps, metadata = posing.motion.fps, make_metadata(job)
        write_animation(outputs.animation, outputs.format, frames, fps, cut, metadata)
        if delivery.compare:
            compared = _side_by_side(image, rendering, frames)
            write_animation(outputs.comparison, outputs.format, compared, fps, cut, metadata)
    seconds = time.perf_counter() - started
    facts = Facts(
        posing.motion.kind, len(frames), float(fps), rendering.has_face, cut is not None, seconds
    )
    with writing(outputs.record):
        write_json_atomic(outputs.record, make_record(job, delivery.audio, facts))
    return Animation(outputs.animation, outputs.record, seconds)


def preview(job: Job, delivery: Delivery, progress: Progress) -> Path:
    """Write the contact sheet of the job's picture and poses; the network is not needed.

    Raises:
        InputError: as `animate`.
    """
    sheet = plan_outputs(job.output, delivery.format).alignment
    require_writable(sheet, delivery.overwrite)
    image = read_image(job.reference)
    finder = PersonFinder(job.recipe.animate.pose_detector)
    posing = _pose(job, image, delivery, finder, progress)
    with writing(sheet), atomic_path(sheet) as temporary:
        Image.fromarray(draw_alignment(image, posing)).save(temporary)
    return sheet


def _pose(
    job: Job, image: Frames, delivery: Delivery, finder: PersonFinder, progress: Progress
) -> Posing:
    """Find the person and the dance, and tell what is strange about them."""
    if delivery.save_keypoints is not None:
        _require_keypoint_file(delivery.save_keypoints, delivery.overwrite)
    motion = read_motion(job.driving, job.recipe.animate, finder, progress)
    posing = bring_together(image, motion, job.recipe, finder)
    for path, people in ((job.reference, posing.people), (job.driving, motion.people)):
        if people > 1:
            progress.note(
                f"{people} people are seen in {path}: the largest is taken. Cut the others off if"
                " that is the wrong one."
            )
    if delivery.save_keypoints is not None:
        _save_keypoints(delivery.save_keypoints, motion, job.driving)
    return posing


def _require_keypoint_file(path: Path, overwrite: bool) -> None:
    if path.suffix != SUFFIX:
        raise InputError(
            f"--save-keypoints must be an {SUFFIX} file, got {path}.",
            hint=f"Type --save-keypoints {path.with_suffix(SUFFIX)}",
        )
    require_writable(path, overwrite)


def _save_keypoints(path: Path, motion: Motion, driving: Path) -> None:
    if motion.keypoints is None:
        raise InputError(
            f"{driving} must show a person to save keypoints of, but it shows drawn poses.",
            hint="Leave out --save-keypoints, or say --driving person.",
        )
    with writing(path):
        write_keypoints(path, motion.keypoints, motion.fps, motion.size)


def _sound(job: Job, motion: Motion) -> Sound | None:
    """Return the sound of what is shown of a driving video."""
    if motion.clip is None or motion.clip.pictures:
        return None
    return find_sound(job.driving, motion.seconds)


def _shown(frames: Frames, image: Frames, posing: Posing) -> Frames:
    """Undo the squeeze: give the frames the picture's aspect ratio at the model's height."""
    size = shown_size(image, posing.size, posing.fit)
    return np.stack([fit_frame(frame, *size, "squash") for frame in frames])


def _side_by_side(image: Frames, rendering: Rendering, frames: Frames) -> Frames:
    size = (frames.shape[1], frames.shape[2])
    picture = fit_frame(image, *size, "squash")
    rows: Sequence[Frames] = [
        np.concatenate([picture, fit_frame(pose, *size, "squash"), frame], axis=1)
        for pose, frame in zip(rendering.poses, frames, strict=True)
    ]
    return np.stack(rows)
