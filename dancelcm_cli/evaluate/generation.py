"""Predictions made for an evaluation: one folder of PNGs a video, kept, and resumed if interrupted.

A stage knows no other stage, so what animates a picture is passed in as a `Generate`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.data.atomic import atomic_folder, remove_temporaries, write_json_atomic
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.data.weight_files import file_sha256
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.batching import deal
from dancelcm_cli.evaluate.costs import record_cost
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.sources import content_sha256, list_pictures
from dancelcm_cli.perception.keypoints import annotation_path
from dancelcm_cli.plain_files import read_json
from dancelcm_cli.progress import Progress

FORMAT_VERSION = 2
RECORD = "made_with.json"
VIDEOS = "videos"  # in the record: the hash of each, by name
SIZES = ("height", "width", "fit", "face_size")  # settings of `preprocess` that animations follow


class Generate(Protocol):
    """Predicts a test video from its reference frame and its motion."""

    def __call__(self, video: TestVideo, output: Path) -> None:
        """Write a PNG for each of `video.scored_indices` into the empty folder `output`.

        Their names, sorted by the numbers in them, are in the order of the frames; their size is
        the model's own. They show all of the source frame, at any aspect ratio.
        """
        ...


def _nothing() -> None: ...


@dataclass(frozen=True)
class Maker:
    """A model with all that its predictions depend on: a row of the table.

    `network_calls` are those that a window of frames takes. `load` brings the model into memory; it
    is called before the first video is made, and not at all where all of them are there.
    """

    name: str
    model: Path
    recipe: Recipe  # its seed, `animate` and what `SIZES` names are used
    generate: Generate
    network_calls: int = 0
    load: Callable[[], object] = _nothing

    @property
    def folder_name(self) -> str:
        """The name as that of a folder."""
        return re.sub(r"[^\w.]+", "-", self.name)


def describe_making(maker: Maker) -> dict[str, object]:
    """Return all but the videos that the predictions of `maker` depend on, as it is kept."""
    recipe = maker.recipe
    return {
        "format_version": FORMAT_VERSION,
        "model": folder_sha256(maker.model),
        "seed": recipe.seed,
        **animation_settings(recipe),
    }


def animation_settings(recipe: Recipe) -> dict[str, object]:
    """Return the settings that animations depend on, by section."""
    return {
        "animate": asdict(recipe.animate),
        "preprocess": {name: getattr(recipe.preprocess, name) for name in SIZES},
    }


def generate_predictions(
    videos: Sequence[TestVideo],
    maker: Maker,
    folder: Path,
    progress: Progress,
    processes: Processes = ALONE,
) -> None:
    """Fill `folder` with a folder of PNGs for each of `videos`; finished ones are kept.

    Each process makes its own share; all are there once they have come back.

    Raises:
        InputError: The folder holds predictions of another model, other settings or other videos, a
            video has no folder of its own to be animated from, or predictions would not show all of
            its frames.
    """
    _refuse_shared_folders(videos)
    _refuse_partial_views(videos, maker)
    if processes.first:
        _claim(
            folder, describe_making(maker), {video.name: _video_sha256(video) for video in videos}
        )
        remove_temporaries(folder)
    processes.wait()
    own = deal(narrow_videos(videos, folder), processes.rank, processes.count)
    missing = [video for video in own if not (folder / video.name).is_dir()]
    done = len(own) - len(missing)
    if missing:
        maker.load()
    with progress.task(f"Animating: {maker.name}", len(own), done) as advance:
        for video in missing:
            place, count = folder / video.name, len(video.scored_indices)
            with atomic_folder(place) as output, record_cost(place, count):
                maker.generate(video, output)
                _check_complete(video, output)
            advance(1, video.name)
    processes.wait()


def is_made(predictions: Path) -> bool:
    """Return whether the folder was filled by `generate_predictions`."""
    return (predictions / RECORD).is_file()


def narrow_videos(videos: Sequence[TestVideo], predictions: Path) -> tuple[TestVideo, ...]:
    """Return `videos` with the frames that were asked for when `predictions` were made.

    Predictions that were not made by an evaluation must have all frames.
    """
    record = _read_record(predictions)
    if record is None:
        return tuple(videos)
    count, stride = record["animate"]["num_frames"], record["animate"]["frame_stride"]
    return tuple(
        replace(video, indices=range(0, video.truth.num_frames, stride)[: count or None])
        for video in videos
    )


def _refuse_shared_folders(videos: Sequence[TestVideo]) -> None:
    shared = [place for place, count in Counter(v.driving for v in videos).items() if count > 1]
    if shared:
        raise InputError(
            f"A video must have a folder of its own to be animated from, but the frames of several"
            f" are in {shared[0]}.",
            hint="Move each video's frames into a folder, or score with --predictions.",
        )


def _refuse_partial_views(videos: Sequence[TestVideo], maker: Maker) -> None:
    """Refuse a fit that would cut or pad frames: predictions are compared as squeezed wholes."""
    settings = maker.recipe.preprocess
    if settings.fit == "squash":
        return
    for video in videos:
        height, width = video.reference.shape[:2]
        if height * settings.width != width * settings.height:
            raise InputError(
                f"Predictions must show all of a frame and nothing else, but with preprocess.fit ="
                f" {settings.fit!r} frames of {height} x {width} pixels, as those of {video.name},"
                f" do not become so at {settings.height} x {settings.width}.",
                hint="Add `--set preprocess.fit=squash`, or choose a size of the same proportions.",
            )


def _video_sha256(video: TestVideo) -> str:
    """Return a hash of the frames of `video` and of the keypoints that lie beside it."""
    annotation = annotation_path(video.driving)
    keypoints = "" if annotation is None else file_sha256(annotation)
    return hashlib.sha256((content_sha256(video.truth) + keypoints).encode()).hexdigest()


def _claim(folder: Path, making: Mapping[str, object], videos: Mapping[str, str]) -> None:
    """Make the folder ours, or check that its predictions were made the same way.

    Videos that were not asked for before are added to those that were.
    """
    earlier = _read_record(folder)
    known = {} if earlier is None else earlier[VIDEOS]
    if earlier is not None:
        changed = sorted(key for key in making if making[key] != earlier.get(key))
        changed += sorted(name for name in videos if known.get(name, videos[name]) != videos[name])
        if changed:
            raise InputError(
                f"{folder} must hold predictions of the same model, settings and videos, got other"
                f" values of {', '.join(changed)}.",
                hint="Choose another --output, or delete that folder.",
            )
    if earlier is None or not videos.keys() <= known.keys():
        write_json_atomic(folder / RECORD, {**making, VIDEOS: {**known, **videos}})


def _read_record(folder: Path) -> dict[str, Any] | None:
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = read_json(path)
        version = record["format_version"]
    except (ValueError, KeyError, TypeError):
        version = "an unreadable file"
    if version != FORMAT_VERSION:
        raise InputError(
            f"The format version of {path} must be {FORMAT_VERSION}, got {version}.",
            hint=f"Delete {folder} and make the predictions again.",
        )
    return dict(record)


def _check_complete(video: TestVideo, output: Path) -> None:
    made, asked = len(list_pictures(output)), len(video.scored_indices)
    if made != asked:
        raise InputError(
            f"The prediction of {video.name} must have {asked} frames, got {made}.",
            hint="Fewer frames fit with `--set animate.num_frames=N`.",
        )
