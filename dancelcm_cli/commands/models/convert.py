"""`dancelcm models convert`: published weights become a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancelcm_cli.console import RichProgress, print_result
from dancelcm_cli.errors import ConfigError

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm models convert checkpoints/ --output models/unianimate

$ dancelcm models convert student-lora.safetensors --teacher models/unianimate -o models/student
"""
PARTS_PANEL = "Where the other parts are, if neither beside CHECKPOINT nor fetched"


def convert(
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to make.")],
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            metavar="CHECKPOINT",
            help="UniAnimate's network, a folder with it and the other parts, or a LoRA that "
            "`dancelcm models export` wrote.",
            show_default="the fetched network",
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Model folder that a LoRA was distilled from."),
    ] = None,
    vae: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Autoencoder: v2-1_512-ema-pruned.ckpt, or sd-vae-ft-mse as file or folder.",
            rich_help_panel=PARTS_PANEL,
        ),
    ] = None,
    image_encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="CLIP: open_clip_pytorch_model.bin, or the folder of transformers.",
            rich_help_panel=PARTS_PANEL,
        ),
    ] = None,
    text_encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="CLIP's text tower, or Stable Diffusion 2.1's text_encoder; only asked for "
            "the empty prompt.",
            show_default="that of --image-encoder",
            rich_help_panel=PARTS_PANEL,
        ),
    ] = None,
) -> None:
    """Make a model folder of published weights.

    Pickles are read under an allow-list and never run; the result is safetensors
    alone. The network's sizes are read off its tensors. Without CHECKPOINT, what
    `dancelcm models fetch` has fetched is taken.
    """
    from dancelcm_cli.models.convert import convert as convert_parts
    from dancelcm_cli.models.lora import convert_lora, is_lora_file
    from dancelcm_cli.models.sources import find_sources

    progress = RichProgress()
    if checkpoint is not None and is_lora_file(checkpoint):
        if teacher is None:
            raise ConfigError(
                "--teacher must name the model folder that the LoRA was distilled from, got none.",
                hint="Type for example --teacher models/unianimate",
            )
        converted = convert_lora(checkpoint, teacher, output, progress)
    elif teacher is not None:
        raise ConfigError(
            f"--teacher must be left out where CHECKPOINT is no LoRA, got {teacher}.",
            hint="Only a LoRA of `dancelcm models export --format lora` has a teacher.",
        )
    else:
        sources = find_sources(checkpoint, vae, image_encoder, text_encoder)
        for path in dict.fromkeys(
            (sources.network, sources.autoencoder, sources.image_encoder, sources.text_encoder)
        ):
            progress.note(f"Reading {path}")
        converted = convert_parts(sources, output, progress)
    parameters = {f"{name}, parameters": f"{n:,}" for name, n in converted.parameters.items()}
    print_result({"model": converted.folder, **parameters})
