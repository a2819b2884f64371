"""`dancelcm danceset`: rendered people who dance, with exact keypoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dancelcm_cli.console import RichProgress, print_result

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm danceset videos --clips 100

$ dancelcm danceset videos --clips 1000 --first 100 --workers 8
"""


def danceset(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write the clips to.")],
    clips: Annotated[int, typer.Option(help="How many clips; each shows another person.")] = 24,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    first: Annotated[
        int, typer.Option(help="Index of the first clip, to extend a set that is there.")
    ] = 0,
    frames: Annotated[int, typer.Option(help="Frames a clip, at 12 frames a second.")] = 24,
    size: Annotated[
        str, typer.Option(metavar="HxW", help="Height and width in pixels.")
    ] = "384x256",
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that render at the same time.", show_default="one a core"),
    ] = None,
) -> None:
    r"""Render a set of dancing people to train on, free of other people's rights.

    Bodies come from MakeHuman's CC0 data; dances, clothes and rooms are procedural.
    Each clip is a video with its exact keypoints beside it, as preprocess reads them
    with --pose-detector annotation. Started again, it continues where it stopped.

    Needs the extra danceset (`pip install "dancelcm\[danceset]"`) and OpenGL's EGL.
    """
    from dancelcm_cli.danceset.extra import require_extra
    from dancelcm_cli.danceset.settings import DanceSetSettings, parse_size

    height, width = parse_size(size)
    workers = workers or os.cpu_count() or 1
    settings = DanceSetSettings(clips, seed, first, frames, height, width, workers)
    require_extra()

    from dancelcm_cli.danceset.pipeline import render_danceset

    summary = render_danceset(output, settings, RichProgress())
    print_result(
        {
            "clips": summary.output,
            "there": summary.num_clips,
            "rendered": summary.rendered,
            "preview": summary.output / "danceset.png",
            "seconds": f"{summary.seconds:.1f}",
        }
    )
