"""The sound of a driving video, cut to what is shown of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dancelcm_cli.data.atomic import refusals_naming, refuse_full_disk, temporary_prefix
from dancelcm_cli.data.containers import container_of
from dancelcm_cli.data.ffmpeg import local_input, local_output, run_ffmpeg, sound_codec
from dancelcm_cli.errors import InputError

CUT_SECONDS = 600.0  # that cutting may take


@dataclass(frozen=True)
class Sound:
    """The first `seconds` of the sound of a file, and the name of its codec."""

    path: Path
    codec: str
    seconds: float


def find_sound(path: Path, seconds: float) -> Sound | None:
    """Return the first `seconds` of the sound of the video `path`, or None where it is silent.

    Raises:
        InputError: ffmpeg does not run.
    """
    codec = sound_codec(path)
    return None if codec is None else Sound(path, codec, seconds)


@contextmanager
def cut_sound(sound: Sound | None, video: Path) -> Iterator[Path | None]:
    """Yield a file of the kind of `video` that holds the sound alone, or None for silence.

    The sound is copied bit for bit where that kind holds its codec, and encoded anew elsewhere.

    Raises:
        InputError: the sound cannot be read.
        OSError: the disk is full.
    """
    if sound is None:
        yield None
        return
    container = container_of(video)
    video.parent.mkdir(parents=True, exist_ok=True)
    copied = ["copy"] if sound.codec in container.kept_sounds else []
    with refusals_naming(video):
        folder = TemporaryDirectory(dir=video.absolute().parent, prefix=temporary_prefix(video))
    with folder as name:
        cut = Path(name, "sound").with_suffix(video.suffix)
        with refusals_naming(video):
            _write_cut(sound, cut, [*copied, container.sound_codec])
        yield cut


def _write_cut(sound: Sound, cut: Path, codecs: list[str]) -> None:
    """Try `codecs` in turn until one makes the file `cut`."""
    for codec in codecs:
        length = ["-t", f"{sound.seconds:.6f}"]
        chosen = ["-map", "0:a:0", "-c:a", codec, "-map_metadata", "-1"]
        arguments = ["-v", "error", *length, *local_input(sound.path), *chosen, local_output(cut)]
        done = run_ffmpeg(arguments, CUT_SECONDS)
        if done.returncode == 0:
            return
    refuse_full_disk(cut)
    reason = done.stderr.strip().splitlines() or ["no reason given"]
    raise InputError(
        f"The sound of {sound.path} must be readable, but ffmpeg says: {reason[-1]}",
        hint="Type --no-audio to go without it.",
    )
