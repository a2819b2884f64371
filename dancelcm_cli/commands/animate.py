"""`dancelcm animate`: a photo and a driving video become a video of the photo in motion."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dancelcm_cli.commands.animate_options import (
    AlignOption,
    AudioOption,
    BatchOption,
    CompareOption,
    CompileOption,
    DraftOption,
    DrivingArgument,
    DrivingOption,
    DryRunOption,
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
    SeveralOption,
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
from dancelcm_cli.errors import (
    ConfigError,
    InputError,
    OutOfMemoryError,
    PartialFailureError,
)
from dancelcm_cli.progress import SilentProgress

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
    compile: CompileOption = False,
    batch: BatchOption = None,
    driving_kind: DrivingOption = None,
    align: AlignOption = None,
    several: SeveralOption = None,
    frames: FramesOption = None,
    max_frames: MaxFramesOption = None,
    fps: FpsOption = None,
    stride: StrideOption = None,
    save_keypoints: SaveKeypointsOption = None,
    preview: PreviewOption = False,
    dry_run: DryRunOption = False,
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
        "animate.several": several,
        "animate.num_frames": frames,
        "animate.max_frames": max_frames,
        "animate.fps": fps,
        "animate.frame_stride": stride,
        "animate.sampler": sampler,
        "animate.guidance_scale": guidance,
        "animate.compile": "true" if compile else None,
        "seed": seed,
        "device": device,
    }
    resolved = resolve_recipe(recipe, settings, flags, model)
    resolved = as_draft(resolved, steps) if draft else resolved
    alone = preview or dry_run or save_keypoints is not None
    _check_arguments(reference, driving, batch, alone)

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
    elif dry_run:
        _forecast(job, delivery)
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
            "--batch must come without REFERENCE, DRIVING, --preview, --dry-run and"
            " --save-keypoints.",
            hint="Photos and driving videos are named in the table.",
        )


def _default_output(reference: Path, driving: Path, format: str | None) -> Path:
    suffix = "" if format == "png" else f".{format or 'mp4'}"
    return Path(f"{reference.stem}-{driving.absolute().stem}{suffix}")


def _animate(job: Job, delivery: Delivery) -> None:
    from dancelcm_cli.animate.animator import Animator
    from dancelcm_cli.animate.pipeline import animate as make_animation
    from dancelcm_cli.core.processes import join_processes

    def load() -> Animator:
        return Animator(job.model.path, job.recipe)

    processes = join_processes(job.recipe.device)
    progress = RichProgress() if processes.first else SilentProgress()
    animation = make_animation(job, delivery, load, progress, processes)
    if processes.first:
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


def _forecast(job: Job, delivery: Delivery) -> None:
    """Print what an animation would take.

    Raises:
        OutOfMemoryError: it would not fit into the memory, whatever is done one after the other.
    """
    from dancelcm_cli.animate.animator import Animator
    from dancelcm_cli.animate.forecast import forecast

    told = forecast(job, delivery, lambda: Animator(job.model.path, job.recipe), RichProgress())
    print_result(
        {
            "device": told.device,
            "frames": f"{told.frames:,}",
            "windows": f"{told.windows:,}",
            "network calls": f"{told.network_calls:,}",
            "time": timedelta(seconds=math.ceil(told.seconds)),
            "peak memory": f"{told.peak_bytes / 2**30:.2f} GiB",
            "free memory": f"{told.free_bytes / 2**30:.2f} GiB",
        }
    )
    if told.setting is None:
        raise OutOfMemoryError(
            "The animation must fit into the memory, but it does not in the smallest steps.",
            hint="Type --draft for half the size, or --set animate.window=8 for shorter windows.",
        )
    if told.setting != told.asked:
        chosen = told.setting
        print_result(
            {
                "fits with": f"--set animate.windows_at_once={chosen.windows_at_once}"
                f" --set animate.decode_chunk={chosen.decode_chunk}"
                f" --set animate.offload={str(chosen.offload).lower()}"
            }
        )


def _run_batch(
    table: Path, output: Path | None, model: Model, recipe: Recipe, delivery: Delivery
) -> None:
    """Make the animations of a table and print what became of each.

    Raises:
        PartialFailureError: some failed; InputError: all did.
    """
    from dancelcm_cli.animate.batch import run_batch
    from dancelcm_cli.animate.jobs import read_jobs
    from dancelcm_cli.core.processes import join_processes

    jobs = read_jobs(table, output or table.parent, model, recipe, delivery.format)
    processes = join_processes(recipe.device)
    progress = RichProgress() if processes.first else SilentProgress()
    results = run_batch(jobs, delivery, progress, processes)
    if not processes.first:
        return
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
