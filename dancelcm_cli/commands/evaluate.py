"""`dancelcm evaluate`: videos are scored against the truth and become a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
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
from dancelcm_cli.errors import ConfigError

if TYPE_CHECKING:
    from dancelcm_cli.evaluate.generation import Generate, Maker
    from dancelcm_cli.evaluate.self_check import Check

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm evaluate --dataset dance --model my-student --steps 1,2,4,8 --bounds

$ dancelcm evaluate --dataset folder --truth real/ --predictions made/
"""

DatasetOption = Annotated[
    Literal["ubc", "tiktok", "dance", "folder"] | None,
    typer.Option(help="Which test videos; dance comes with the toolkit."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the test videos.", show_default="datasets/<dataset>"),
]
TruthOption = Annotated[
    Path | None, typer.Option(help="Folder of the true videos of --dataset folder.")
]
PredictionsOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of videos to score; without it, --model makes them. May be repeated.",
    ),
]
ModelOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER",
        help="Model folder to score. May be repeated.",
        show_default="tiny/student",
    ),
]
StepsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N,...",
        help="Network calls per clip; of several, such as 1,2,4, each makes a row.",
        show_default=",".join(map(str, DEFAULTS.evaluate.steps)),
    ),
]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="Which metrics, such as psnr,lpips,fvd.",
        show_default="the protocol's",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail where a metric cannot be measured.")
]
BoundsOption = Annotated[
    bool, typer.Option("--bounds", help="Add a row for the round trip through the autoencoder.")
]
SelfCheckOption = Annotated[
    bool, typer.Option("--self-check", help="First compare the metrics with published numbers.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Report folder.", show_default="runs/evaluate-<time>"),
]


def evaluate(
    dataset: DatasetOption = None,
    data: DataOption = None,
    truth: TruthOption = None,
    predictions: PredictionsOption = None,
    model: ModelOption = None,
    steps: StepsOption = None,
    metrics: MetricsOption = None,
    strict: StrictOption = False,
    bounds: BoundsOption = False,
    self_check: SelfCheckOption = False,
    output: OutputOption = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Score videos against the truth: L1, PSNR, SSIM, LPIPS and FVD.

    Every table has a row for the repeated reference frame, which a model has to
    beat. LPIPS and FVD need weights: `dancelcm models fetch lpips-vgg i3d`.
    Writes results.json, protocol.json, per_video.csv and report.md.
    """
    flags = {
        "evaluate.steps": _as_list(steps, quote=""),
        "evaluate.metrics": _as_list(metrics, quote='"'),
        "evaluate.strict": "true" if strict else None,
        "seed": seed,
        "device": device,
    }
    resolved = resolve_recipe(recipe, settings, flags)
    report = run_folder("evaluate", output, None)
    progress = RichProgress()
    checks = _self_check(resolved, report, progress) if self_check else ()
    if dataset is None and self_check:
        return
    if dataset is None:
        raise ConfigError("--dataset must say which videos are scored.", "Type: --dataset dance")

    from dancelcm_cli.data.bundled import bundled
    from dancelcm_cli.evaluate.datasets import open_dataset
    from dancelcm_cli.evaluate.runner import evaluate_dataset

    models = model or ([] if predictions else [bundled("tiny/student")])
    bounding = (models or [bundled("tiny/student")])[0] if bounds else None
    result = evaluate_dataset(
        open_dataset(dataset, data, truth),
        report,
        resolved,
        progress,
        predictions or (),
        _makers(models, bounding, resolved),
        checks,
    )
    for note in result.notes:
        progress.note(note)
    title = f"{result.dataset}: {result.num_videos} videos, {result.num_frames} frames"
    print_table(title, result.columns, result.table())
    print_result({"report": report / "report.md"})


def _as_list(items: str | None, quote: str) -> str | None:
    """Turn `1,2` or `psnr,fvd` into a list of TOML."""
    if items is None:
        return None
    return f"[{', '.join(f'{quote}{item.strip()}{quote}' for item in items.split(','))}]"


def _self_check(recipe: Recipe, report: Path, progress: RichProgress) -> tuple[Check, ...]:
    from dancelcm_cli.core.device import pick_device
    from dancelcm_cli.evaluate.self_check import (
        CHECK_COLUMNS,
        check_table,
        require_agreement,
        run_self_check,
    )

    checks = run_self_check(pick_device(recipe.device), report, progress)
    print_table("Self-check", CHECK_COLUMNS, check_table(checks))
    for reason in dict.fromkeys(check.reason for check in checks if check.reason):
        progress.note(f"Some checks are skipped. {reason}")
    require_agreement(checks)
    return checks


def _makers(models: Sequence[Path], bounding: Path | None, recipe: Recipe) -> Iterator[Maker]:
    """Yield each model at each number of steps; what the last one loaded is free by then."""
    from dancelcm_cli.evaluate.bounds import round_trip
    from dancelcm_cli.evaluate.generation import Maker

    if bounding is not None:
        yield round_trip(bounding, recipe)
    for model in models:
        path = model.resolve()
        name = path.parent.name if path.name == "model" else path.name  # a run's is called "model"
        for steps in recipe.evaluate.steps:
            animate = replace(recipe.animate, steps=steps)
            generate = _animator(model, replace(recipe, animate=animate))
            row = f"{name}, {steps} step{'s' if steps > 1 else ''}"
            yield Maker(row, model, animate, recipe.seed, generate)


def _animator(model: Path, recipe: Recipe) -> Generate:
    """Return what predicts a test video by animating its reference frame with `model`."""
    from dancelcm_cli.animate.animator import Animator
    from dancelcm_cli.animate.prediction import predict_frames
    from dancelcm_cli.evaluate.datasets import TestVideo

    @cache
    def animator() -> Animator:  # not loaded where all predictions are there
        return Animator(model, recipe)

    def generate(video: TestVideo, output: Path) -> None:
        index = video.reference_index
        (reference,) = video.truth.frames([index])
        predict_frames(animator(), reference, index, video.driving, output)

    return generate
