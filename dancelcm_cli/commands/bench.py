"""`dancelcm bench`: where the time of an animation goes on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dancelcm_cli.commands.animate_options import ModelOption, StepsOption
from dancelcm_cli.commands.options import (
    DEFAULTS,
    DeviceOption,
    RecipeOption,
    SetOption,
    resolve_recipe,
)
from dancelcm_cli.console import RichProgress, print_json, print_result, print_table

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm bench

$ dancelcm bench --model runs/student/model --recipe unianimate --device cuda
"""


def bench(
    model: ModelOption = None,
    steps: StepsOption = None,
    frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of the clip that is measured; 0 is as many as the sample dance has.",
            show_default=str(DEFAULTS.animate.num_frames),
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of the table.")
    ] = False,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure where the time of an animation goes on this machine.

    Does a little of each stage with the sample picture and dance: seconds for a
    frame, the share of each stage, and how many times longer the networks take
    than their arithmetic would at the speed of one large matrix product.
    """
    flags = {"animate.steps": steps, "animate.num_frames": frames, "device": device}
    resolved = resolve_recipe(recipe, settings, flags, model)

    from dancelcm_cli.animate.bench import bench as measure
    from dancelcm_cli.data.bundled import bundled

    found = measure(model or bundled("tiny/student"), resolved, RichProgress())
    if as_json:
        print_json(asdict(found))
        return
    rows = [
        (
            stage.name,
            f"{stage.seconds:.4f}",
            f"{stage.seconds / found.seconds:.0%}",
            "" if stage.floor_seconds is None else f"{stage.floor_seconds:.4f}",
            "" if stage.ratio is None else f"{stage.ratio:.1f}",
        )
        for stage in found.stages
    ]
    title = f"{found.num_frames} frames in {found.steps} steps"
    print_table(title, ("stage", "s/frame", "share", "floor, s/frame", "times the floor"), rows)
    print_result(
        {
            "device": found.device,
            "seconds per frame": f"{found.seconds:.3f}",
            "matrix products": f"{found.rate / 1e12:.3g} TFLOP/s",
        }
    )
