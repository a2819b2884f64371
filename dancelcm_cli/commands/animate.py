"""`dancelcm animate`: a photo and a driving video become a video of the photo in motion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dancelcm_cli.commands.animate_options import (
    AlignOption,
    AudioOption,
    BatchOption,
    CompareOption,
    DraftOption,
    DrivingArgument,
    DrivingOption,
    FormatOption,
    FpsOption,
    FramesOption,
    GuidanceOption,
    MaxFramesOption,
    ModelOption,
    OutputOption,
    OverwriteOption,
    PreviewOption,
    ReferenceArgument,
    SamplerOption,
    SaveKeypointsOption,
    StepsOption,
    StrideOption,
)
from dancelcm_cli.commands.options import (
    DeviceOption,
    RecipeOption,
    SeedOption,
    SetOption,
    resolve_recipe,
)
from dancelcm_cli.config.draft import as_draft
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.console import RichProgress, print_result, print_table
from dancelcm_cli.errors import ConfigError, InputError, PartialFailureError

if TYPE_CHECKING:
    from dancelcm_cli.animate.outputs import Delivery
    from dancelcm_cli.animate.record import Job, Model

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm animate photo.jpg dance.mp4

$ dancelcm animate photo.jpg dance.mp4 --steps 8 --model my-student -o me.webm
"""


def animate(
    reference: ReferenceArgument = None,
    driving: DrivingArgument = None,
    output: OutputOption = None,
    model: ModelOption = None,
    steps: StepsOption = None,
    sampler: SamplerOption = None,
    guidance: GuidanceOption = None,
    draft: DraftOption = False,
    batch: BatchOption = None,
    driving_kind: DrivingOption = None,
    align: AlignOption = None,
    frames: FramesOption = None,
    max_frames: MaxFramesOption = None,
    fps: FpsOption = None,
    stride: StrideOption = None,
    save_keypoints: SaveKeypointsOption = None,
    preview: PreviewOption = False,
    format: FormatOption = None,
    audio: AudioOption = True,
    compare: CompareOption = False,
    overwrite: OverwriteOption = False,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Make the person of a photo move like the dancer of a video.

    Writes a video with DRIVING's rate, length and sound and, beside it, a json record of everything
    it takes to make it again.
    """
    flags = {
        "animate.steps": steps,
        "animate.driving": driving_kind,
        "animate.align": align,
        "animate.num_frames": frames,
        "animate.max_frames": max_frames,
        "animate.fps": fps,
        "animate.frame_stride": stride,
        "animate.sampler": sampler,
        "animate.guidance_scale": guidance,
        "seed": seed,
        "device": device,
    }
    resolved = resolve_recipe(recipe, settings, flags)
    resolved = as_draft(resolved, steps) if draft else resolved
    _check_arguments(reference, driving, batch, alone=preview or save_keypoints is not None)

    from dancelcm_cli.animate.outputs import Delivery
    from dancelcm_cli.animate.record import Job, Model
    from dancelcm_cli.data.bundled import bundled

    delivery = Delivery(format, audio, compare, overwrite, save_keypoints)
    chosen_model = Model(model or bundled("tiny/student"))
    if batch is not None:
        _run_batch(batch, output, chosen_model, resolved, delivery)
        return
    assert reference is not None and driving is not None
    output = output or _default_output(reference, driving, format)
    job = Job(reference, driving, output, chosen_model, resolved)
    if preview:
        _preview(job, delivery)
    else:
        _animate(job, delivery)


def _check_arguments(
    reference: Path | None, driving: Path | None, batch: Path | None, alone: bool
) -> None:
    """Refuse what leaves open what is to be animated; `alone`: an option for a single one."""
    if batch is None and (reference is None or driving is None):
        raise ConfigError(
            "A photo and a driving video must be given, or a table of them.",
            hint="Type: dancelcm animate photo.jpg dance.mp4, or --batch jobs.csv",
        )
    if batch is not None and (reference is not None or alone):
        raise ConfigError(
            "--batch must come without REFERENCE, DRIVING, --preview and --save-keypoints.",
            hint="Photos and driving videos are named in the table.",
        )


def _default_output(reference: Path, driving: Path, format: str | None) -> Path:
    suffix = "" if format == "png" else f".{format or 'mp4'}"
    return Path(f"{reference.stem}-{driving.stem}{suffix}")


def _animate(job: Job, delivery: Delivery) -> None:
    from dancelcm_cli.animate.animator import Animator
    from dancelcm_cli.animate.pipeline import animate as make_animation

    def load() -> Animator:
        return Animator(job.model.path, job.recipe)

    animation = make_animation(job, delivery, load, RichProgress())
    print_result(
        {
            "animation": animation.path,
            "record": animation.record,
            "seconds": f"{animation.seconds:.1f}",
        }
    )


def _preview(job: Job, delivery: Delivery) -> None:
    from dancelcm_cli.animate.pipeline import preview as make_preview

    print_result({"alignment": make_preview(job, delivery, RichProgress())})


def _run_batch(
    table: Path, output: Path | None, model: Model, recipe: Recipe, delivery: Delivery
) -> None:
    """Make the animations of a table and print what became of each.

    Raises:
        PartialFailureError: some failed; InputError: all did.
    """
    from dancelcm_cli.animate.batch import run_batch
    from dancelcm_cli.animate.jobs import read_jobs

    jobs = read_jobs(table, output or table.parent, model, recipe, delivery.format)
    results = run_batch(jobs, delivery, RichProgress())
    rows = [(one.job.output, one.state, f"{one.seconds:.1f}", one.reason) for one in results]
    columns = ("output", "state", "seconds", "why")
    print_table(str(table), columns, rows, text_columns=4)
    failed = [one for one in results if one.state == "failed"]
    if failed:
        kind = InputError if len(failed) == len(results) else PartialFailureError
        raise kind(
            f"All jobs must be done, but {len(failed)} of {len(results)} failed.",
            hint="Mend them and type the same command again: what is finished is skipped.",
        )
