"""What is written for one animation, where, and whether it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data import atomic
from dancelcm_cli.data.picture_files import GIF_FASTEST, write_gif, write_pictures
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError

Format = Literal["mp4", "webm", "gif", "png"]
SUFFIXES: Mapping[str, Format] = {".mp4": "mp4", ".webm": "webm", ".gif": "gif"}
WITH_SOUND = frozenset({"mp4", "webm"})
OWN_PICTURE = re.compile(r"\d{6}\.png")


@dataclass(frozen=True)
class Delivery:
    """How animations are to be written.

    `format` is None where the suffix of the output tells it; "png" is a folder of pictures.
    """

    format: Format | None = None
    audio: bool = True  # the sound of the driving clip comes along
    compare: bool = False  # picture, pose and result side by side as well
    overwrite: bool = False
    save_keypoints: Path | None = None  # file for what was found in the driving clip


@dataclass(frozen=True)
class Outputs:
    """Where the parts of one animation go; `animation` is a folder where the format is "png"."""

    format: Format
    animation: Path
    record: Path
    comparison: Path
    alignment: Path
    unfinished: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, whether they are wanted or not."""
        return self.animation, self.record, self.comparison, self.alignment, self.unfinished


def plan_outputs(output: Path, format: Format | None) -> Outputs:
    """Say where everything goes that belongs to `output`.

    Raises:
        InputError: `output` has no name, or its suffix is missing, unknown or of another format.
    """
    if output.name in ("", ".."):
        name = "dance" if format == "png" else f"dance.{format or 'mp4'}"
        raise InputError(
            f"--output must name a file, or a folder of PNGs, got {output}.",
            hint=f"Type --output {output / name}",
        )
    suffix = output.suffix.lower()
    told = SUFFIXES.get(suffix)
    chosen = format or told
    if chosen is None or suffix == ".png" or (told is not None and told != chosen):
        raise _unfit_suffix(output, format)
    if told is None and chosen != "png":
        output = output.with_name(f"{output.name}.{chosen}")
    name, ending = (output.name, "") if chosen == "png" else (output.stem, output.suffix)
    return Outputs(
        chosen,
        output,
        output.with_name(f"{name}.json"),
        output.with_name(f"{name}-compare{ending}"),
        output.with_name(f"{name}-align.png"),
        output.with_name(f"{name}-unfinished.safetensors"),
    )


def require_writable(path: Path, overwrite: bool, folder: bool = False) -> None:
    """Refuse before the work what could not be written after it: a file, or a `folder` of frames.

    Raises:
        InputError: `path` exists, or where it lies cannot be written.
    """
    if path.exists() and not overwrite:
        raise InputError(
            f"{path} must not exist already.",
            hint="Type --overwrite to replace it, or choose another --output.",
        )
    frames_only = path.is_dir() and all(OWN_PICTURE.fullmatch(one.name) for one in path.iterdir())
    if path.exists() and (not frames_only if folder else not path.is_file()):
        wanted = "a folder of nothing but frames" if folder else "a file"
        raise InputError(
            f"{path} must be {wanted} to be replaced, got something else.",
            hint="Choose another place by --output.",
        )
    atomic.require_writable(path.parent)


def require_rate(format: Format, fps: Fraction) -> None:
    """Refuse before the work a rate at which the format cannot be played.

    Raises:
        InputError: it is a GIF of more than 50 frames/s.
    """
    if format == "gif" and fps > GIF_FASTEST:
        raise InputError(
            f"A GIF must have at most {GIF_FASTEST} frames/s, got {float(fps):.4g}.",
            hint=f"Type --fps {GIF_FASTEST // 2}, or --format mp4",
        )


def write_animation(
    path: Path,
    format: Format,
    frames: Iterable[Frames],
    num_frames: int,
    fps: Fraction,
    sound: Path | None,
    metadata: Mapping[str, str],
) -> None:
    """Write `num_frames` frames `(H, W, 3)`, taken one by one; `sound` as in `write_video`.

    Raises:
        InputError: they cannot be written.
    """
    if format == "gif":
        write_gif(path, frames, fps, num_frames, metadata)
    elif format == "png":
        write_pictures(path, frames, metadata)
    else:
        write_video(path, frames, fps, sound, metadata=metadata)


def _unfit_suffix(output: Path, format: Format | None) -> InputError:
    if format == "png" or (format is None and output.suffix.lower() == ".png"):
        return InputError(
            f"--format png writes a folder, whose name must have no suffix, got {output}.",
            hint=f"Type --format png --output {output.with_suffix('')}",
        )
    suffix = f".{format or 'mp4'}"
    wanted = f"an {suffix}" if suffix == ".mp4" else f"a {suffix}"
    return InputError(
        f"--output must be {wanted} file, got {output}.",
        hint=f"Type --output {output.with_suffix(suffix)}",
    )
