"""`dancelcm preprocess`: videos become shards of training clips."""

from __future__ import annotations

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
from dancelcm_cli.config.schema import Detector
from dancelcm_cli.console import RichProgress, print_result

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm preprocess videos/ --output shards

$ dancelcm preprocess videos/ --recipe unianimate --model unianimate -o shards-768
"""


def preprocess(
    videos: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEOS", help="A folder of videos, searched in depth, or one video."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Shard folder to write.")] = Path(
        "shards"
    ),
    model: Annotated[
        Path | None,
        typer.Option(help="Model folder whose autoencoder encodes.", show_default="tiny/teacher"),
    ] = None,
    pose_detector: Annotated[
        Detector | None,
        typer.Option(
            help="Where keypoints come from: a file beside the video or a pose network.",
            show_default=str(DEFAULTS.preprocess.pose_detector),
        ),
    ] = None,
    store: Annotated[
        Literal["latents", "frames"] | None,
        typer.Option(
            help="Store latents, or frames to train an autoencoder on.",
            show_default=str(DEFAULTS.preprocess.store),
        ),
    ] = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Turn videos of dancing people into shards of training clips.

    Cuts every video into clips, finds the dancer's keypoints, encodes frames and
    face, and marks what moves. What is left out is listed with its reason in
    skipped.jsonl. Started again, it continues where it stopped.
    """
    flags = {
        "preprocess.pose_detector": pose_detector,
        "preprocess.store": store,
        "seed": seed,
        "device": device,
    }
    resolved = resolve_recipe(recipe, settings, flags)

    from dancelcm_cli.preprocess.pipeline import preprocess_videos

    summary = preprocess_videos(videos, output, model, resolved, RichProgress())
    print_result(
        {
            "shards": summary.output,
            "clips": summary.kept,
            **{f"skipped, {reason}": count for reason, count in summary.skipped.items()},
            "seconds": f"{summary.seconds:.1f}",
            "frames/s": f"{summary.frames_per_second:.1f}",
        }
    )
