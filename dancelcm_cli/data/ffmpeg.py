"""ffmpeg as a program: a list of arguments, a time limit, and no input but local files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg

from dancelcm_cli.data.containers import SELF_CONTAINED
from dancelcm_cli.errors import InputError

LOOK_SECONDS = 60.0  # what looking at a file may take
REINSTALL = "Type: pip install --force-reinstall imageio-ffmpeg"


def ffmpeg_path() -> str:
    """Return the program in use: `IMAGEIO_FFMPEG_EXE`, else the one of the package imageio-ffmpeg.

    Raises:
        InputError: there is none.
    """
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise InputError(f"ffmpeg must be on this machine, got none: {error}", REINSTALL) from error


def run_ffmpeg(arguments: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run ffmpeg for at most `seconds`; whether it succeeded is for the caller to see.

    Raises:
        InputError: there is no ffmpeg, it does not run, or it took too long.
    """
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-y", *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"ffmpeg must be done within {seconds:.0f} seconds, but was not.",
            hint="Check that the disk is neither full nor asleep, and that the file is whole.",
        ) from None
    except OSError as error:
        raise InputError(f"ffmpeg must run, got: {error}", REINSTALL) from error


def local_input(path: Path) -> list[str]:
    """Return the arguments that make `path` an input which may name no other place to read from."""
    limits = [part for key, value in SELF_CONTAINED.items() for part in (f"-{key}", value)]
    return [*limits, "-i", f"file:{path}"]


def local_output(path: Path) -> str:
    """Return the argument that makes `path` the output, whatever its name begins with."""
    return f"file:{path}"


def list_encoders() -> frozenset[str]:
    """Return the names of the codecs that this ffmpeg can write.

    Raises:
        InputError: ffmpeg does not run.
    """
    listing = run_ffmpeg(["-encoders"], LOOK_SECONDS).stdout
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\w\S*)", listing, re.MULTILINE))


def sound_codec(path: Path) -> str | None:
    """Return the codec of the first sound in a file, such as "aac"; None where there is none."""
    report = run_ffmpeg(local_input(path), LOOK_SECONDS).stderr
    found = re.search(r"^\s*Stream #0:\d+.*?: Audio: (\w+)", report, re.MULTILINE)
    return found.group(1) if found else None
