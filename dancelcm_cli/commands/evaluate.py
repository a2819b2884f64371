"""`dancelcm evaluate`: videos are scored against the truth and become a report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from dancelcm_cli.commands.options import (
    DEFAULTS,
    DeviceOption,
    RecipeOption,
    SeedOption,
    SetOption,
    resolve_recipe,
)
from dancelcm_cli.console import RichProgress, print_result

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm evaluate --dataset tiktok --data TikTok_dataset/ --model runs/distill-1/model --steps 4

$ dancelcm evaluate --dataset folder --truth real/ --predictions made/
"""


def evaluate(
    dataset: Annotated[
        Literal["ubc", "tiktok", "dance", "folder"],
        typer.Option(help="Which test set and protocol."),
    ],
    data: Annotated[Path | None, typer.Option(help="Folder of the test set.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder of true videos, for --dataset folder.")
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
    """Score animations against the truth: PSNR, SSIM, LPIPS, FVD and more.

    A metric whose weights are missing says so instead of a number. Writes results.json,
    protocol.json, per_video.csv, report.md and report.html.
    """
    ...
