"""Draws the README's moving picture: reference, pose, student, teacher and truth, side by side.

    python -m tests.benchmarks.readme_strip assets/samples/strip.gif

The teacher takes 50 steps, so it lasts a minute or two on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.motion import read_motion
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.training.strips import film_frames

NUM_FRAMES = 16
STUDENT_STEPS, TEACHER_STEPS = (1, 2, 4), 50
SHOWN_HEIGHT = 240  # pixels of a frame; GIFs grow fast


def main(output: Path) -> None:
    """Animate the bundled reference by student and teacher, and write the film."""
    image = read_image(bundled("samples/reference.png"))
    driving = bundled("samples/driving.mp4")
    columns: dict[str, list[Frames]] = {}
    models = [("student", steps) for steps in STUDENT_STEPS] + [("teacher", TEACHER_STEPS)]
    for model, steps in models:
        recipe = load_recipe("tiny", [f"animate.steps={steps}", f"animate.num_frames={NUM_FRAMES}"])
        animator = Animator(bundled(f"tiny/{model}"), recipe)
        motion = read_motion(driving, recipe.animate, animator.finder)
        rendering = animator.render(image, motion)
        height, width = animator.size
        if not columns:
            columns["reference"] = [fit_frame(image, height, width, "squash")[None]]
            columns["pose"] = [rendering.poses]
        columns[f"{model}, {steps} step{'s' * (steps > 1)}"] = [rendering.frames]
    truth, video = read_frames(driving, range(NUM_FRAMES), height, width)
    columns["truth"] = [truth]
    shown = {title: [enlarged(frames) for frames in clips] for title, clips in columns.items()}
    first, *others = (Image.fromarray(frame).quantize(128) for frame in film_frames(shown))
    first.save(
        output, save_all=True, append_images=others, duration=round(1000 / video.fps), loop=0
    )


def enlarged(frames: Frames) -> Frames:
    """Return frames `(F, H, W, 3)` at the size in which they are shown."""
    height, width = frames.shape[1:3]
    size = (round(width * SHOWN_HEIGHT / height), SHOWN_HEIGHT)
    pictures = (Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames)
    return np.stack([np.asarray(picture) for picture in pictures])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
