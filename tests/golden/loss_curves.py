"""The first losses of a small distillation by every method: what a change of numerics changes.

`python -m tests.golden.loss_curves` runs them anew and writes `loss_curves.json`; do so only for a
change that was meant to change what is learnt, and look at the difference.

Teacher and clips are drawn by name, so that nothing but the code under test decides the curves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.methods import method_settings
from dancelcm_cli.config.schema import Method, Recipe
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.noise import generator
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.shards import Clip, ShardWriter, make_clip_id
from dancelcm_cli.progress import SilentProgress, SilentRunDisplay
from dancelcm_cli.training.preparation import save_model
from dancelcm_cli.training.runs import distill_student

CURVES = Path(__file__).with_suffix(".json")
METHODS: tuple[Method, ...] = get_args(Method)
STEPS, FRAMES, CELLS, CHANNELS = 6, 4, 8, 4
Curve = dict[str, list[float]]  # by the name of the loss


class Recorder(SilentRunDisplay):
    """Keeps what a run tells of its steps, but for the gradients' norm.

    Another machine's rounding moves that by up to 2e-4 and the losses by up to 3e-5.
    """

    def __init__(self) -> None:
        self.curve: Curve = {}

    def step(self, done: int, losses: Mapping[str, float]) -> None:
        for name, value in losses.items():
            if name != "gradient_norm":
                self.curve.setdefault(name, []).append(value)


class RecordingProgress(SilentProgress):
    """Hands a run its recorder."""

    def __init__(self) -> None:
        self.recorder = Recorder()

    @contextmanager
    def run(self, total: int, completed: int = 0) -> Iterator[Recorder]:
        yield self.recorder


def distilled_curve(method: Method, folder: Path) -> Curve:
    """Return the losses of each step of a distillation by `method`; `folder` must be empty."""
    recipe = load_recipe(
        "smoke",
        [
            *method_settings(method),
            "device=cpu",
            f"distill.steps={STEPS}",
            f"distill.num_frames={FRAMES}",
            "distill.batch_size=2",
            "distill.validate_every=100",
            "distill.teacher_steps=1",
        ],
    )
    progress = RecordingProgress()
    distill_student(
        _shards(folder / "shards"),
        folder / "run",
        _teacher(folder / "teacher", recipe),
        recipe,
        progress,
        resume=False,
    )
    return progress.recorder.curve


def _shards(folder: Path) -> Path:
    """Write two clips: noise for latents, a person scattered over the picture, half in motion."""
    with ShardWriter(folder, "", {}, 1_000_000) as writer:
        for source in ("one.mp4", "two.mp4"):
            stream = generator(0, "golden clip", source)
            latents = torch.randn(CHANNELS, FRAMES, CELLS, CELLS, generator=stream)
            keypoints = torch.rand(FRAMES, 134, 3, generator=stream).numpy()
            clip = Clip(
                clip_id=make_clip_id(source, 0),
                source=source,
                fps=12.0,
                start_frame=0,
                keypoints=keypoints,
                reference_index=0,
                reference_keypoints=keypoints[0],
                latents=latents.half(),
                reference_latents=latents[:, 0].half(),
                face_latents=torch.randn(CHANNELS, 4, 4, generator=stream).half(),
                motion_mask=torch.rand(FRAMES, CELLS, CELLS, generator=stream) < 0.5,
            )
            writer.add(clip)
            writer.finish(source)
    return folder


def _teacher(folder: Path, recipe: Recipe) -> Path:
    """Write a model whose every weight differs from zero."""
    vae = PatchAutoencoder(
        latent_channels=CHANNELS, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    unet = DanceUNet.from_network(recipe.network, CHANNELS)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator(0, "golden weight", name))
            if parameter.ndim > 1:
                parameter.copy_(drawn / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(0.1 * drawn + float(name.endswith("weight")))
    save_model(DancePipeline(unet, vae, make_scheduler(recipe.schedule)), recipe, folder)
    return folder


def main() -> None:
    """Write the curves of all methods."""
    curves: dict[str, Curve] = {}
    for method in METHODS:
        with TemporaryDirectory() as folder:
            curves[method] = distilled_curve(method, Path(folder))
    rounded = {
        method: {
            name: [float(f"{value:.7g}") for value in values] for name, values in curve.items()
        }
        for method, curve in curves.items()
    }
    CURVES.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
