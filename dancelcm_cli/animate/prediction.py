"""Animation of a test video for an evaluation: lossless frames instead of a video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.driving import open_clip
from dancelcm_cli.animate.motion import read_motion
from dancelcm_cli.core.vae import Frames


def predict_frames(
    animator: Animator, image: Frames, reference_index: int, driving: Path, output: Path
) -> None:
    """Animate `image` `(H, W, 3)` along `driving` and write `000000.png`, ... into `output`.

    The picture is frame `reference_index` of the driving video itself: its pose is known, and there
    is nothing to align. Frames are taken by their number, not by their time, as they are scored.
    """
    config = animator.recipe.animate
    length = open_clip(driving).num_frames
    indices = range(0, length, config.frame_stride)[: config.num_frames or None]
    motion = read_motion(driving, config, animator.finder, indices=indices)
    known = None
    if motion.keypoints is not None and reference_index in indices:
        known = motion.keypoints[indices.index(reference_index)]
    elif motion.keypoints is not None:
        alike = replace(config, driving=motion.kind)
        alone = read_motion(driving, alike, animator.finder, indices=[reference_index])
        known = None if alone.keypoints is None else alone.keypoints[0]
    rendering = animator.render(image, motion, reference_keypoints=known)
    for index, frame in enumerate(rendering.film()):
        Image.fromarray(frame).save(output / f"{index:06d}.png")
