"""The stage: a picture and a driving clip in, a video and its record out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dancelcm_cli import __version__
from dancelcm_cli.animate.animator import Animator, Rendering
from dancelcm_cli.animate.motion import Motion, read_motion
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.atomic import write_json_atomic
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import Progress

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Animation:
    """What was written, and how long it took."""

    video: Path
    record: Path
    seconds: float


def animate(
    reference: Path,
    driving: Path,
    output: Path,
    model: Path,
    recipe: Recipe,
    progress: Progress,
    *,
    overwrite: bool = False,
    compare: bool = False,
) -> Animation:
    """Make the person in the picture `reference` move like the one in `driving`.

    Writes the mp4 `output` at the driving clip's frame rate and, beside it, a JSON record of
    everything it takes to make it again; with `compare` also `<name>-compare.mp4`: picture, pose,
    result.

    Raises:
        InputError: an input is missing or unreadable, nobody is seen, or an output exists.
    """
    started = time.perf_counter()
    record = output.with_suffix(".json")
    comparison = output.with_name(f"{output.stem}-compare.mp4") if compare else None
    _check_output([output, record, *([comparison] if comparison else [])], overwrite)
    image = read_image(reference)
    animator = Animator(model, recipe)
    motion = read_motion(driving, recipe.animate, animator.detect)
    calls = recipe.animate.steps
    with progress.task("Animating", calls) as advance:
        rendering = animator.render(image, motion, lambda index: advance(1, ""))
    if not rendering.has_face:
        progress.note("No face is used: none was found in the reference, or the model reads none.")
    frames = _shown(rendering.frames, image, recipe)
    write_video(output, frames, motion.fps)
    if comparison:
        write_video(comparison, _side_by_side(image, rendering, frames), motion.fps)
    seconds = time.perf_counter() - started
    write_json_atomic(
        record, _record(reference, driving, model, recipe, motion, rendering, seconds)
    )
    return Animation(output, record, seconds)


def _check_output(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse before the work what could not be written after it; the first path is the video."""
    if paths[0].suffix.lower() != ".mp4":
        raise InputError(
            f"--output must be an .mp4 file, got {paths[0]}.",
            hint=f"Type --output {paths[0].with_suffix('.mp4')}",
        )
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(
                f"{path} must not exist already.",
                hint="Type --overwrite to replace it, or choose another --output.",
            )


def _shown(frames: Frames, image: Frames, recipe: Recipe) -> Frames:
    """Undo the squeeze: give the frames the picture's aspect ratio at the model's height."""
    if recipe.preprocess.fit != "squash":
        return frames
    height = frames.shape[1]
    width = max(2, 2 * round(height * image.shape[1] / image.shape[0] / 2))
    return np.stack([fit_frame(frame, height, width, "squash") for frame in frames])


def _side_by_side(image: Frames, rendering: Rendering, frames: Frames) -> Frames:
    size = (frames.shape[1], frames.shape[2])
    picture = fit_frame(image, *size, "squash")
    return np.stack(
        [
            np.concatenate([picture, fit_frame(pose, *size, "squash"), frame], axis=1)
            for pose, frame in zip(rendering.poses, frames, strict=True)
        ]
    )


def _record(
    reference: Path,
    driving: Path,
    model: Path,
    recipe: Recipe,
    motion: Motion,
    rendering: Rendering,
    seconds: float,
) -> dict[str, object]:
    return {
        "format_version": FORMAT_VERSION,
        "content": "synthetic media: made by dancelcm from a picture and a driving clip",
        "reference": str(reference),
        "driving": str(driving),
        "driving_kind": motion.kind,
        "model": str(model),
        "model_sha256": folder_sha256(model),
        "seed": recipe.seed,
        "steps": recipe.animate.steps,
        "frames": len(rendering.frames),
        "fps": motion.fps,
        "face": rendering.has_face,
        "seconds": round(seconds, 3),
        "versions": {"dancelcm": __version__, "torch": torch.__version__},
        "recipe": recipe_to_toml(recipe),
    }
