"""`dancelcm evaluate`: videos are scored against the truth and become a report."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from dancelcm_cli.errors import ConfigError, InterruptedRunError
from dancelcm_cli.interrupt import typed_command
from dancelcm_cli.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from dancelcm_cli.core.processes import Processes
    from dancelcm_cli.evaluate.generation import Maker
    from dancelcm_cli.evaluate.plan import Plan
    from dancelcm_cli.evaluate.results import EvaluationResult
    from dancelcm_cli.evaluate.self_check import Check

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm evaluate --dataset dance --model my-student --steps 1,2,4,8 --bounds

$ dancelcm evaluate --dataset folder --truth real/ --predictions made/
"""

DatasetOption = Annotated[
    Literal["ubc", "tiktok", "dance", "folder"] | None,
    typer.Option(
        help="Which test videos: UBC Fashion, TikTok, the dancers that come with the toolkit, or "
        "any two folders (--truth, --predictions)."
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the test videos.",
        show_default="$DANCELCM_DATA/<dataset>, else datasets/<dataset>; dance: the bundled videos",
    ),
]
TruthOption = Annotated[
    Path | None, typer.Option(help="Folder of the true videos, for --dataset folder.")
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
        show_default="the bundled tiny/student",
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
        help="Which metrics to measure, such as psnr,lpips,fvd.",
        show_default="the protocol's",
    ),
]
IdsOption = Annotated[
    Path | None,
    typer.Option(
        "--ids",
        metavar="FILE",
        help="Text file that names the videos to take, one a line.",
        show_default="the data set's test split",
    ),
]
BeyondOption = Annotated[
    bool | None,
    typer.Option(
        "--beyond/--no-beyond",
        help="Measure what the papers do not: faces, sharpness, flicker and warp error.",
        show_default="beyond" if DEFAULTS.evaluate.beyond else "no-beyond",
    ),
]
PoseOption = Annotated[
    bool,
    typer.Option("--pose", help="Measure whether poses are the truth's, as BlazePose finds them."),
]
AllowMissingOption = Annotated[
    bool, typer.Option("--allow-missing", help="Score what is there of incomplete predictions.")
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict", help="Fail where a metric cannot be measured, in place of leaving it out."
    ),
]
BoundsOption = Annotated[
    bool, typer.Option("--bounds", help="Add a row for the round trip through the autoencoder.")
]
SelfCheckOption = Annotated[
    bool, typer.Option("--self-check", help="First compare the metrics with published numbers.")
]
RepeatOption = Annotated[
    Path | None,
    typer.Option(
        "--repeat",
        metavar="REPORT",
        help="Do what an earlier evaluation did: its settings, the same models, and the videos as "
        "they are by now; only --output, --device and --self-check may be added.",
    ),
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
    ids: IdsOption = None,
    metrics: MetricsOption = None,
    beyond: BeyondOption = None,
    pose: PoseOption = False,
    allow_missing: AllowMissingOption = False,
    strict: StrictOption = False,
    bounds: BoundsOption = False,
    self_check: SelfCheckOption = False,
    repeat: RepeatOption = None,
    output: OutputOption = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Score videos against the truth: L1, PSNR, SSIM, LPIPS, FVD and more.

    Every table has a row for the repeated reference frame, which a model has to
    beat. LPIPS and FVD need weights: `dancelcm models fetch lpips-vgg i3d`.
    Writes report.html, report.md, results.json, protocol.json and the scores of
    every video and frame. `accelerate launch -m dancelcm_cli evaluate ...`
    shares the videos among processes.
    """
    flags = {
        "evaluate.steps": _as_list(steps, quote=""),
        "evaluate.metrics": _as_list(metrics, quote='"'),
        "evaluate.beyond": None if beyond is None else str(beyond).lower(),
        "evaluate.pose": "true" if pose else None,
        "evaluate.allow_missing": "true" if allow_missing else None,
        "evaluate.strict": "true" if strict else None,
        "seed": seed,
    }
    given = dataset, data, truth, ids, predictions, model, recipe, settings, *flags.values()
    if repeat is not None and any(value not in (None, False) for value in (*given, bounds)):
        raise ConfigError(
            "--repeat must come alone, or with --output, --device and --self-check.",
            hint=f"Type: dancelcm evaluate --repeat {repeat}",
        )
    resolved = _common_recipe(model or [], recipe, settings, {**flags, "device": device})
    if repeat is None and dataset is None and not self_check:
        raise ConfigError("--dataset must say which videos are scored.", "Type: --dataset dance")

    from dancelcm_cli.core.processes import join_processes

    processes = join_processes(resolved.device)
    (report, *_) = processes.gather(run_folder("evaluate", output, None))
    progress: Progress = RichProgress() if processes.first else SilentProgress()
    with _naming(report if output is None else None):
        checks = _self_check(resolved, report, progress) if self_check and processes.first else ()
        if repeat is not None:
            from dancelcm_cli.evaluate.plan import read_plan

            plan, recorded = read_plan(repeat)
            known = replace(recorded, device=resolved.device)
            _run(plan, known, report, progress, checks, processes)
        elif dataset is not None:
            from dancelcm_cli.data.bundled import bundled
            from dancelcm_cli.evaluate.plan import Plan

            models = tuple(model or ()) or (() if predictions else (bundled("tiny/student"),))
            plan = Plan(dataset, data, truth, ids, tuple(predictions or ()), models, bounds)
            _run(plan, resolved, report, progress, checks, processes)


def _common_recipe(
    models: Sequence[Path],
    recipe: str | None,
    settings: Sequence[str] | None,
    flags: Mapping[str, object],
) -> Recipe:
    """Return the recipe under which all `models` are scored.

    Raises:
        ConfigError: They bring recipes that animate in different ways.
    """
    places: Sequence[Path | None] = models or (None,)
    first, *others = (resolve_recipe(recipe, settings, flags, place) for place in places)
    for model, other in zip(models[1:], others, strict=True):
        if _animates_otherwise(other, first):
            raise ConfigError(
                f"The models must animate in one way, got other picture sizes or settings of"
                f" `animate` in the recipe of {model} than in that of {models[0]}.",
                hint="Name a --recipe for all of them, or evaluate each by itself and compare the"
                " folders of predictions with --predictions.",
            )
    return first


def _animates_otherwise(one: Recipe, other: Recipe) -> bool:
    """Tell whether two recipes animate differently, but for the steps, which --steps says."""
    from dancelcm_cli.evaluate.generation import animation_settings

    alike = replace(one, animate=replace(one.animate, steps=other.animate.steps))
    return animation_settings(alike) != animation_settings(other)


@contextmanager
def _naming(report: Path | None) -> Iterator[None]:
    """Name a `report` folder that nobody has named where Ctrl-C or SIGTERM comes.

    Raises:
        InterruptedRunError: for KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        more = "" if report is None else f" --output {shlex.quote(str(report))}"
        raise InterruptedRunError(
            "Interrupted; the predictions made so far are kept.",
            hint=f"Go on with: {typed_command()}{more}",
        ) from None


def _run(
    plan: Plan,
    recipe: Recipe,
    report: Path,
    progress: Progress,
    checks: Sequence[Check],
    processes: Processes,
) -> None:
    from dancelcm_cli.data.bundled import bundled
    from dancelcm_cli.evaluate.datasets import open_dataset
    from dancelcm_cli.evaluate.plan import write_plan
    from dancelcm_cli.evaluate.runner import evaluate_dataset

    bounding = (plan.models or (bundled("tiny/student"),))[0] if plan.bounds else None
    test_set = open_dataset(plan.dataset, plan.data, plan.truth, plan.ids)
    if plan.truth is None:  # elsewhere, --repeat would look for the data set in other places
        plan = replace(plan, data=test_set.root)
    result = evaluate_dataset(
        test_set,
        report,
        recipe,
        progress,
        plan.predictions,
        _makers(plan.models, bounding, recipe),
        checks,
        processes,
    )
    if processes.first:
        write_plan(plan, recipe, result.protocol, report)
        _show(result, report, progress)


def _show(result: EvaluationResult, report: Path, progress: Progress) -> None:
    from dancelcm_cli.evaluate.tables import tables
    from dancelcm_cli.evaluate.web_report import WEB_REPORT

    for note in result.notes:
        progress.note(note)
    title = f"{result.dataset}: {result.num_videos} videos, {result.num_frames} frames"
    for table in tables(result):
        print_table(title, table.columns, table.rows, bold=table.best)
        title = ""
    print_result({"split": result.split, "report": report / WEB_REPORT})


def _as_list(items: str | None, quote: str) -> str | None:
    """Turn `1,2` or `psnr,fvd` into a list of TOML."""
    if items is None:
        return None
    return f"[{', '.join(f'{quote}{item.strip()}{quote}' for item in items.split(','))}]"


def _self_check(recipe: Recipe, report: Path, progress: Progress) -> tuple[Check, ...]:
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

    if bounding is not None:
        yield round_trip(bounding, recipe)
    for model in models:
        path = model.resolve()
        name = path.parent.name if path.name == "model" else path.name  # a run's is called "model"
        for steps in recipe.evaluate.steps:
            animate = replace(recipe.animate, steps=steps)
            row = f"{name}, {steps} step{'s' if steps > 1 else ''}"
            guided = 1 if animate.guidance_scale == 1.0 else 2  # with and without conditions
            yield _animating(row, model, replace(recipe, animate=animate), steps * guided)


def _animating(row: str, model: Path, recipe: Recipe, network_calls: int) -> Maker:
    """Return what predicts test videos by animating their reference frames with `model`."""
    from dancelcm_cli.animate.animator import Animator
    from dancelcm_cli.animate.prediction import predict_frames
    from dancelcm_cli.evaluate.datasets import TestVideo
    from dancelcm_cli.evaluate.generation import Maker

    @cache
    def animator() -> Animator:  # not loaded where all predictions are there
        return Animator(model, recipe)

    def generate(video: TestVideo, output: Path) -> None:
        index = video.reference_index
        predict_frames(animator(), video.reference, index, video.driving, output)

    return Maker(row, model, recipe, generate, network_calls, animator)
