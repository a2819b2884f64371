"""`dancelcm preprocess`: videos become shards of training clips."""

from __future__ import annotations

import re
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
from dancelcm_cli.config.schema import Detector, Recipe
from dancelcm_cli.console import RichProgress, print_result, print_table
from dancelcm_cli.errors import ConfigError, InputError

if TYPE_CHECKING:
    from dancelcm_cli.preprocess.engine import Engine

MOST_WORKERS = 8  # by default: each holds a few hundred megabytes
VIDEOS_PER_WORKER = 4  # at least: it takes seconds to start
DEFAULT_OUTPUT = Path("shards")
EXAMPLES = """[bold]Examples[/bold]

$ dancelcm preprocess videos/ --output shards

$ dancelcm preprocess videos/ --recipe unianimate --model unianimate -o shards-768
"""


def preprocess(
    videos: Annotated[
        Path | None,
        typer.Argument(
            metavar="VIDEOS",
            help="A folder of videos and of folders of frames, searched in depth, or one video.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Shard folder to write; with --preview, the video.",
            show_default=str(DEFAULT_OUTPUT),
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Model folder whose autoencoder encodes.", show_default="the bundled tiny/teacher"
        ),
    ] = None,
    pose_detector: Annotated[
        Detector | None,
        typer.Option(
            help="Where keypoints come from: a file beside the video (annotation), a pose network,"
            " or the best of these that is there (auto).",
            show_default=str(DEFAULTS.preprocess.pose_detector),
        ),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            metavar="largest|center|N",
            help="Whom to follow where several people are seen; N counts from the left. To keep"
            " such clips: --set preprocess.max_people=0.",
            show_default=str(DEFAULTS.preprocess.person),
        ),
    ] = None,
    store: Annotated[
        Literal["latents", "frames"] | None,
        typer.Option(
            help="Store latents, or frames to train an autoencoder on.",
            show_default=str(DEFAULTS.preprocess.store),
        ),
    ] = None,
    append: Annotated[
        bool,
        typer.Option("--append", help="Add to the shard folder, with the settings that made it."),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do the I-th of N equal shares of the videos, 1 to N, for N machines or a SLURM"
            " array; all shares go into one --output, and whoever reads it sees them as one.",
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="Who does the work: processes of this machine, or a Ray cluster, which needs"
            " `pip install dancelcm\\[ray]` and videos, model and output on a shared disk."
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that read videos, with --engine local.",
            show_default="one per 4 videos, at most 8 or the CPUs",
        ),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview", help="Write VIDEO with skeleton, face box and verdicts, and nothing else."
        ),
    ] = False,
    verify: Annotated[
        Path | None,
        typer.Option(metavar="SHARDS", help="Read a shard folder again and name what is damaged."),
    ] = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
) -> None:
    """Turn videos of dancing people into shards of training clips.

    Cuts every video into clips, finds the dancer's keypoints, encodes frames and
    face, and marks what moves. What is left out is listed in skipped.jsonl with
    its reason, time and thumbnail; the thresholds are settings of the recipe.
    report.html in the shard folder shows both.
    Started again, it does what is missing or new and nothing else.
    """
    if verify is not None:
        _verify(verify)
        return
    if videos is None:
        raise InputError(
            "VIDEOS must be a folder of videos or a video, got nothing.",
            hint="Name it: `dancelcm preprocess videos/`",
        )
    flags = {
        "preprocess.pose_detector": pose_detector,
        "preprocess.person": person,
        "preprocess.store": store,
        "seed": seed,
        "device": device,
    }
    folder = output or DEFAULT_OUTPUT
    given = _recipe_of(folder, recipe) if append else recipe
    resolved = resolve_recipe(given, settings, flags, model)
    if preview:
        _preview(videos, output, resolved)
        return

    from dancelcm_cli.preprocess.pipeline import preprocess_videos
    from dancelcm_cli.preprocess.report import REPORT

    share = None if shard is None else _share(shard)
    runner = _engine(engine, workers, videos, folder)
    summary = preprocess_videos(videos, folder, model, resolved, RichProgress(), share, runner)
    print_result(
        {
            "shards": summary.output,
            "report": summary.output / REPORT,
            "clips": summary.kept,
            "seconds": f"{summary.seconds:.1f}",
            "frames/s": f"{summary.frames_per_second:.1f}",
        }
    )
    if summary.skipped:
        print_table("Left out", ["reason", "count"], summary.skipped.items())


def _recipe_of(folder: Path, recipe: str | None) -> Path:
    """Return the recipe that made a shard folder, or its first part."""
    from dancelcm_cli.data.shard_files import read_manifest

    read_manifest(folder)
    if recipe is not None:
        raise ConfigError(
            f"--append must take the recipe of {folder}, got {recipe}.",
            hint="Leave out --recipe, or choose another --output without --append.",
        )
    return min(folder.rglob("recipe.toml"))


def _share(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise ConfigError(
            f"--shard must be I/N with I from 1 to N, got {text}.",
            hint="Type --shard 1/8 on the first of eight machines.",
        )
    return part, parts


def _engine(name: str, workers: int | None, videos: Path, output: Path) -> Engine:
    from dancelcm_cli.preprocess.engine import InProcess, LocalPool, usable_cpus
    from dancelcm_cli.preprocess.sources import find_videos

    if name == "ray":
        from dancelcm_cli.preprocess.ray_engine import RayCluster

        return RayCluster()
    if workers is None:
        worthwhile = -(-len(find_videos(videos, output)) // VIDEOS_PER_WORKER)
        workers = min(usable_cpus(), MOST_WORKERS, worthwhile)
    return InProcess() if workers == 1 else LocalPool(workers)


def _preview(video: Path, output: Path | None, recipe: Recipe) -> None:
    from dancelcm_cli.preprocess.preview import preview_video
    from dancelcm_cli.preprocess.sources import preview_name

    place = output or Path(preview_name(video.absolute()))
    found = preview_video(video, place, recipe.preprocess, RichProgress(), recipe.device)
    print_result({"preview": found.path, **found.verdicts})


def _verify(folder: Path) -> None:
    from dancelcm_cli.preprocess.verification import verify_shards

    found = verify_shards(folder, RichProgress())
    if not found.damage:
        print_result({"intact": folder, "shards": found.shards, "clips": found.clips})
        return
    rows = [(damage.shard, damage.clip_id, damage.detail) for damage in found.damage]
    print_table("Damaged", ["shard", "clip", "what"], rows, text_columns=3)
    raise InputError(
        f"{folder} must be as it was written, got {len(found.damaged_shards)} damaged of"
        f" {found.shards} shards: {', '.join(found.damaged_shards)}.",
        hint="Delete these files and run the same `dancelcm preprocess` again: it fills the gaps.",
    )
