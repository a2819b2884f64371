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
    DryRunOption,
    ResumeOption,
    RunOutputOption,
    ShardsArgument,
    TensorboardOption,
    print_rehearsal,
    print_run,
    refuse_resumed_rehearsal,
    run_folder,
    run_recipe,
)
from dancelcm_cli.config.methods import method_settings
from dancelcm_cli.config.schema import Method
from dancelcm_cli.console import RichProgress

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm distill shards --segments 4 --set distill.grid_size=40 --steps 500

$ dancelcm distill shards --phase 2 --student runs/distill-20250101-130000/model
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
            metavar="MODEL",
            help="Model folder of the teacher.",
            show_default="the bundled tiny/teacher",
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="DanceLCM, or one of its rivals under the same loop, data and teacher.",
            show_default=str(DEFAULTS.distill.method),
        ),
    ] = None,
    phase: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="2 goes on from --student and makes it good at fewer steps than it has segments.",
            show_default=str(DEFAULTS.distill.phase),
        ),
    ] = None,
    student: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Model folder of the first phase's student."),
    ] = None,
    output: RunOutputOption = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Optimizer steps in all.", show_default=str(DEFAULTS.distill.steps)),
    ] = None,
    resume: ResumeOption = None,
    dry_run: DryRunOption = False,
    tensorboard: TensorboardOption = False,
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
        "distill.phase": phase,
        "distill.steps": steps,
        "compute.tensorboard": "true" if tensorboard else None,
        "seed": seed,
        "device": device,
    }
    overrides = [*method_settings(method), *(settings or [])]
    resolved = resolve_recipe(run_recipe(recipe, resume), overrides, flags, teacher or student)
    folder = run_folder("distill", output, resume)

    if dry_run:
        refuse_resumed_rehearsal(resume)

        from dancelcm_cli.training.rehearsal import rehearse
        from dancelcm_cli.training.run_folder import RunInputs
        from dancelcm_cli.training.student_run import prepare_student

        inputs = RunInputs("distill", shards, teacher, student)
        print_rehearsal(rehearse(prepare_student, inputs, folder, resolved, RichProgress()))
        return

    from dancelcm_cli.training.runs import distill_student

    summary = distill_student(
        shards,
        folder,
        teacher,
        resolved,
        RichProgress(),
        resume=resume is not None,
        student=student,
    )
    print_run(summary)
