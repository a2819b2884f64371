"""`dancelcm animate`: a photo and a driving video become a video of the photo in motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancelcm_cli.commands.options import (
    DEFAULTS,
    DeviceOption,
    RecipeOption,
    SeedOption,
    SetOption,
    resolve_recipe,
)
from dancelcm_cli.config.schema import Alignment, Driving, Sampler
from dancelcm_cli.console import RichProgress, print_result

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm animate photo.jpg dance.mp4

$ dancelcm animate photo.jpg dance.mp4 --steps 8 --model my-student -o me.mp4
"""


def animate(
    reference: Annotated[
        Path, typer.Argument(metavar="REFERENCE", help="The photo: a picture of one person.")
    ],
    driving: Annotated[
        Path,
        typer.Argument(
            metavar="DRIVING", help="The motion: a video of a person or of drawn poses."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Video to write.", show_default="REFERENCE-DRIVING.mp4 here"
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder.", show_default="tiny/student")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Network calls: 1 to 8 for a student, 25 to 50 for a teacher.",
            show_default=str(DEFAULTS.animate.steps),
        ),
    ] = None,
    driving_kind: Annotated[
        Driving | None,
        typer.Option(
            "--driving",
            help="What DRIVING shows: a person, drawn poses, or a video with a keypoint file.",
            show_default=str(DEFAULTS.animate.driving),
        ),
    ] = None,
    align: Annotated[
        Alignment | None,
        typer.Option(
            help="How the driving figure is fitted to the photo's.",
            show_default=str(DEFAULTS.animate.align),
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of DRIVING to animate.",
            show_default=str(DEFAULTS.animate.num_frames),
        ),
    ] = None,
    sampler: Annotated[
        Sampler | None,
        typer.Option(
            help="How a step goes on to the next.",
            show_default=str(DEFAULTS.animate.sampler),
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            help="Classifier-free guidance scale; 1 is off. A student needs none, a teacher 2.5.",
            show_default=str(DEFAULTS.animate.guidance_scale),
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the video if it exists.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also write photo, pose and result side by side."),
    ] = False,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Make the person of a photo move like the dancer of a video.

    Writes an mp4 and beside it a json record of everything it takes to make it again.
    """
    flags = {
        "animate.steps": steps,
        "animate.driving": driving_kind,
        "animate.align": align,
        "animate.num_frames": frames,
        "animate.sampler": sampler,
        "animate.guidance_scale": guidance,
        "seed": seed,
        "device": device,
    }
    resolved = resolve_recipe(recipe, settings, flags)
    video = output or Path(f"{reference.stem}-{driving.stem}.mp4")

    from dancelcm_cli.animate.pipeline import animate as animate_picture
    from dancelcm_cli.data.bundled import bundled

    animation = animate_picture(
        reference,
        driving,
        video,
        model or bundled("tiny/student"),
        resolved,
        RichProgress(),
        overwrite=overwrite,
        compare=compare,
    )
    print_result(
        {
            "video": animation.video,
            "record": animation.record,
            "seconds": f"{animation.seconds:.1f}",
        }
    )
