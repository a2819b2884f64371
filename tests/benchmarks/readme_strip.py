"""Draws the README's picture: reference, then four frames of pose, result and truth.

python tests/benchmarks/readme_strip.py assets/samples/strip.png
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
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import read_frames

SHOWN = (3, 7, 11, 15)  # frames of the clip
ENLARGED = 2


def main(output: Path) -> None:
    recipe = load_recipe(None, [])
    animator = Animator(bundled("tiny/student"), recipe)
    image = read_image(bundled("samples/reference.png"))
    driving = bundled("samples/driving.mp4")
    motion = read_motion(driving, recipe.animate, animator.finder)
    rendering = animator.render(image, motion)
    height, width = animator.size
    truth, _ = read_frames(driving, range(motion.num_frames), height, width)
    reference = np.asarray(Image.fromarray(image).resize((width, height)))
    blank = np.full_like(reference, 255)
    rows = [
        np.concatenate([first, *(frames[i] for i in SHOWN)], axis=1)
        for first, frames in (
            (blank, rendering.poses),
            (reference, rendering.frames),
            (blank, truth),
        )
    ]
    strip: Frames = np.concatenate(rows)
    size = (strip.shape[1] * ENLARGED, strip.shape[0] * ENLARGED)
    Image.fromarray(strip).resize(size, Image.Resampling.LANCZOS).save(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
