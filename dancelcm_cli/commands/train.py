"""`dancelcm train`: shards become a teacher, or the small autoencoder before it."""

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
from dancelcm_cli.console import RichProgress

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm train shards --init assets/tiny/teacher --steps 500

$ dancelcm train shards --resume runs/train-20250101-120000
"""


def train(
    shards: ShardsArgument = Path("shards"),
    part: Annotated[
        Literal["teacher", "autoencoder"] | None,
        typer.Option(
            help="What to train; an autoencoder needs shards with `--store frames`.",
            show_default=str(DEFAULTS.train.part),
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Model folder to start from. Its network is fine-tuned; where it holds an "
            "autoencoder alone, an untrained network of the recipe's sizes joins it.",
        ),
    ] = None,
    output: RunOutputOption = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Optimizer steps in all.", show_default=str(DEFAULTS.train.steps)),
    ] = None,
    resume: ResumeOption = None,
    dry_run: DryRunOption = False,
    tensorboard: TensorboardOption = False,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Train a teacher, the many-step model that `dancelcm distill` starts from.

    Writes a run folder with the recipe, metrics, checkpoints, samples and, at the
    end, the model. An interrupted run continues with --resume as if it had not
    been interrupted.
    """
    flags = {
        "train.part": part,
        "train.steps": steps,
        "compute.tensorboard": "true" if tensorboard else None,
        "seed": seed,
        "device": device,
    }
    resolved = resolve_recipe(run_recipe(recipe, resume), settings, flags, init)
    folder = run_folder("train", output, resume)

    of_teacher = resolved.train.part == "teacher"
    if dry_run:
        refuse_resumed_rehearsal(resume)

        from dancelcm_cli.training.autoencoder_run import prepare_autoencoder
        from dancelcm_cli.training.rehearsal import rehearse
        from dancelcm_cli.training.run_folder import RunInputs
        from dancelcm_cli.training.teacher_run import prepare_teacher

        prepare = prepare_teacher if of_teacher else prepare_autoencoder
        inputs = RunInputs("train", shards, init)
        print_rehearsal(rehearse(prepare, inputs, folder, resolved, RichProgress()))
        return

    from dancelcm_cli.training.runs import train_autoencoder, train_teacher

    run = train_teacher if of_teacher else train_autoencoder
    summary = run(shards, folder, init, resolved, RichProgress(), resume=resume is not None)
    print_run(summary)
