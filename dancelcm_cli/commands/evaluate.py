"""`dancelcm evaluate`: videos are scored against the truth and become a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dancelcm_cli.commands.options import (
    DEFAULTS,
    DeviceOption,
    RecipeOption,
    SeedOption,
    SetOption,
    resolve_recipe,
)
from dancelcm_cli.commands.runs import run_folder
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.console import RichProgress, print_result, print_table

if TYPE_CHECKING:
    from dancelcm_cli.evaluate.generation import Generate

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm evaluate --dataset dance --model my-student --steps 4

$ dancelcm evaluate --dataset folder --truth real/ --predictions made/
"""


def evaluate(
    dataset: Annotated[
        Literal["ubc", "tiktok", "dance", "folder"],
        typer.Option(help="Which test videos; dance comes with the toolkit."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the test videos.", show_default="datasets/<dataset>"),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder of the true videos of --dataset folder.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Folder of videos to score; without it, --model makes them."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder to score.", show_default="tiny/student")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Network calls per clip.", show_default=str(DEFAULTS.evaluate.steps)),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Report folder.", show_default="runs/evaluate-<time>"),
    ] = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Score videos against the truth, frame by frame.

    Every table has a row for the repeated reference frame, which a model has to
    beat. Writes results.json, protocol.json, per_video.csv and report.md.
    """
    flags = {"evaluate.steps": steps, "seed": seed, "device": device}
    resolved = resolve_recipe(recipe, settings, flags)
    report = run_folder("evaluate", output, None)

    from dancelcm_cli.data.bundled import bundled
    from dancelcm_cli.evaluate.runner import evaluate_dataset

    if predictions is None:
        model = model or bundled("tiny/student")
    progress = RichProgress()
    result = evaluate_dataset(
        dataset,
        data,
        predictions,
        model,
        report,
        resolved,
        progress,
        truth=truth,
        generate=None if model is None else _animator(model, resolved),
    )
    for note in result.notes:
        progress.note(note)
    title = f"{result.dataset}: {result.num_videos} videos, {result.num_frames} frames"
    print_table(title, result.columns, result.table())
    print_result({"report": report / "report.md"})


def _animator(model: Path, recipe: Recipe) -> Generate:
    """Return what predicts a test video by animating its reference frame with `model`."""
    from dancelcm_cli.animate.animator import Animator
    from dancelcm_cli.animate.prediction import predict_frames
    from dancelcm_cli.evaluate.datasets import TestVideo
    from dancelcm_cli.evaluate.generation import animation_settings

    animator = Animator(model, replace(recipe, animate=animation_settings(recipe)))

    def generate(video: TestVideo, output: Path) -> None:
        index = video.reference_index
        (reference,) = video.truth.frames([index])
        predict_frames(animator, reference, index, video.driving, output)

    return generate
