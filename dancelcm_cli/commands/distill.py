"""`dancelcm distill`: a teacher becomes a student of one to eight steps."""

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
from dancelcm_cli.commands.runs import (
    ResumeOption,
    RunOutputOption,
    ShardsArgument,
    print_run,
    run_folder,
    run_recipe,
)
from dancelcm_cli.console import RichProgress

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm distill shards --teacher runs/train-20250101-120000/model

$ dancelcm distill shards --segments 4 --set distill.grid_size=40 --steps 500
"""


def distill(
    shards: ShardsArgument = Path("shards"),
    segments: Annotated[
        int | None,
        typer.Option(
            help="Segments K of the time axis; the student is best at K steps and more.",
            show_default=str(DEFAULTS.distill.segments),
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="Model folder of the teacher.", show_default="tiny/teacher"
        ),
    ] = None,
    output: RunOutputOption = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Optimizer steps in all.", show_default=str(DEFAULTS.distill.steps)),
    ] = None,
    resume: ResumeOption = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Distill a teacher into a student that needs 1 to 8 network steps instead of 25 to 50.

    Writes a run folder like `dancelcm train`; its model is what `dancelcm animate`
    takes as --model. An interrupted run continues with --resume as if it had not
    been interrupted.
    """
    flags = {
        "distill.segments": segments,
        "distill.steps": steps,
        "seed": seed,
        "device": device,
    }
    resolved = resolve_recipe(run_recipe(recipe, resume), settings, flags)
    folder = run_folder("distill", output, resume)

    from dancelcm_cli.training.runs import distill_student

    summary = distill_student(
        shards,
        folder,
        teacher,
        resolved,
        RichProgress(),
        resume=resume is not None,
    )
    print_run(summary)
