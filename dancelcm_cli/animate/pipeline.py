"""The stage: a picture and a driving clip in, a video and its record out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
    Outputs,
    plan_outputs,
    require_rate,
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
    _require_outputs(job, outputs, delivery)
    image = read_image(job.reference)
    animator = load()
    posing = _pose(job, image, delivery, animator.finder, progress)
    motion, metadata = posing.motion, make_metadata(job)
    require_rate(outputs.format, motion.fps)
    sound = _sound(job, motion) if delivery.audio and outputs.format in WITH_SOUND else None
    # A sound that cannot be read is told before the work.
    with writing(outputs.animation), cut_sound(sound, outputs.animation) as cut:
        with progress.task("Animating", job.recipe.animate.steps) as advance:
            rendering = animator.render_posing(image, posing, lambda index: advance(1, ""))
        films = {outputs.animation: _shown(rendering.frames, image, posing)}
        if delivery.compare:
            films[outputs.comparison] = _side_by_side(image, rendering, posing)
        for path, frames in films.items():
            shape = (motion.num_frames, motion.fps)
            write_animation(path, outputs.format, frames, *shape, cut, metadata)
    if not rendering.has_face:
        progress.note("No face is used: none was found in the reference, or the model reads none.")
    seconds = time.perf_counter() - started
    facts = Facts(motion, rendering.has_face, cut is not None, seconds)
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


def _shown(frames: Frames, image: Frames, posing: Posing) -> Iterator[Frames]:
    """Undo the squeeze: give the frames the picture's aspect ratio at the model's height."""
    size = shown_size(image, posing.size, posing.fit)
    return (fit_frame(frame, *size, "squash") for frame in frames)


def _side_by_side(image: Frames, rendering: Rendering, posing: Posing) -> Iterator[Frames]:
    size = shown_size(image, posing.size, posing.fit)
    picture = fit_frame(image, *size, "squash")
    poses = _shown(rendering.poses, image, posing)
    for pose, frame in zip(poses, _shown(rendering.frames, image, posing), strict=True):
        yield np.concatenate([picture, pose, frame], axis=1)
