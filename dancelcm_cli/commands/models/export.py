"""`dancelcm models export`: a model folder's network becomes a file that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dancelcm_cli.console import RichProgress, print_result

EXAMPLES = """[bold]Examples[/bold]

$ dancelcm models export runs/train/model --format upstream -o tuned.pth

$ dancelcm models export runs/distill/model --format lora -o student-lora.safetensors
"""


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Model folder whose network is written.")
    ],
    format: Annotated[
        Literal["upstream", "lora"],
        typer.Option(
            help="upstream: all of the network under UniAnimate's names. lora: what a LoRA "
            "student adds to its teacher, face tokens included."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File to write: .safetensors, or the .pth that UniAnimate's own code reads.",
        ),
    ],
) -> None:
    """Write the network of a model folder as one file, with no number changed."""
    from dancelcm_cli.models.export import export as export_network

    left_out = export_network(folder, format, output)
    if left_out:
        names = ", ".join(left_out)
        RichProgress().note(f"Left out, as UniAnimate has no place for them: {names}")
    print_result({"file": output, "bytes": f"{output.stat().st_size:,}"})
