"""A model of UniAnimate's kind, whose network reads CLIP's features of the photo."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.motion import read_motion
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.image_encoder import to_clip_pixels
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.data.images import read_image
from tests.core.tiny_clip import tiny_clip_pipeline


def test_clip_sees_the_photo_as_it_came_and_not_as_it_was_fitted(
    tmp_path: Path, make_recipe: Callable[..., Recipe], photo: Path, dancer: Path
) -> None:
    tiny_clip_pipeline().save_pretrained(tmp_path)
    animator = Animator(tmp_path, make_recipe("preprocess.fit=crop"))
    pipeline: DancePipeline = animator.pipeline
    seen: list[Tensor] = []
    pipeline.image_encoder.register_forward_pre_hook(
        lambda _, positional, named: seen.append(named["pixel_values"]), with_kwargs=True
    )
    image = read_image(photo)
    motion = read_motion(dancer, animator.recipe.animate, animator.finder)
    rendering = animator.render(image, motion)
    assert rendering.frames.shape == (3, 64, 64, 3)
    assert torch.equal(seen[0][0], to_clip_pixels(image, 28))
