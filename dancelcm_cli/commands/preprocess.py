"""`dancelcm preprocess`: videos become shards of training clips."""

from __future__ import annotations

import re
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
from dancelcm_cli.config.schema import Detector, Recipe
from dancelcm_cli.console import RichProgress, print_result, print_table
from dancelcm_cli.errors import ConfigError, InputError

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
        typer.Option(help="Model folder whose autoencoder encodes.", show_default="tiny/teacher"),
    ] = None,
    pose_detector: Annotated[
        Detector | None,
        typer.Option(
            help="Where keypoints come from: a file beside the video or a pose network.",
            show_default=str(DEFAULTS.preprocess.pose_detector),
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
        "preprocess.store": store,
        "seed": seed,
        "device": device,
    }
    folder = output or DEFAULT_OUTPUT
    resolved = resolve_recipe(_recipe_of(folder, recipe) if append else recipe, settings, flags)
    if preview:
        _preview(videos, output or Path(f"{videos.stem}-preview.mp4"), resolved)
        return

    from dancelcm_cli.preprocess.pipeline import preprocess_videos

    share = None if shard is None else _share(shard)
    summary = preprocess_videos(videos, folder, model, resolved, RichProgress(), share)
    print_result(
        {
            "shards": summary.output,
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


def _preview(video: Path, output: Path, recipe: Recipe) -> None:
    from dancelcm_cli.preprocess.preview import preview_video

    found = preview_video(video, output, recipe.preprocess, RichProgress())
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
