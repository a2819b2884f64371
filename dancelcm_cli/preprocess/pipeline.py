"""The stage: videos in, a shard folder out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli import __version__
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import PreprocessConfig, Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.pipeline import load_vae
from dancelcm_cli.core.vae import reduction
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.clips import hash_tensors
from dancelcm_cli.data.shards import ShardWriter, make_clip_id
from dancelcm_cli.data.video import VideoInfo, iter_frames, probe_video
from dancelcm_cli.errors import InputError, InterruptedRunError
from dancelcm_cli.perception.keypoints import body_confidence
from dancelcm_cli.preprocess.encoding import ClipMaker
from dancelcm_cli.preprocess.poses import FindPoses, PoseFinder
from dancelcm_cli.preprocess.sources import Source, Window, cut_windows, find_videos
from dancelcm_cli.progress import Progress

MEBIBYTE = 2**20
LIBRARIES = ("decord", "numpy", "torch")  # whose version may change what comes out


@dataclass(frozen=True)
class PreprocessSummary:
    """What a run left behind."""

    output: Path
    kept: int  # clips in the folder, those of earlier runs included
    skipped: dict[str, int]  # how often each reason stands in skipped.jsonl
    seconds: float  # that this run took
    frames_per_second: float  # of clips made by this run


def preprocess_videos(
    videos: Path, output: Path, model: Path | None, recipe: Recipe, progress: Progress
) -> PreprocessSummary:
    """Fill the shard folder `output` from the video, or the folder of videos, `videos`.

    Each video is cut into as many windows of `preprocess.num_frames` frames as fit. What is left
    out stands in `skipped.jsonl`: a video that is `unreadable`, `too_short` or has `no_keypoints`,
    a window with `no_person`. A repeated run does what is missing, byte for byte as if it had not
    been interrupted.

    Args:
        videos: A video, or a folder that is searched in depth.
        output: The shard folder.
        model: The model folder whose autoencoder encodes latents; None: the bundled one.
        recipe: Its sections `preprocess` and `device` apply.
        progress: Told about each video.

    Raises:
        InputError: There are no videos, or none gave a clip; `output` was made otherwise.
        ConfigError: The recipe's sizes do not fit the autoencoder.
        InterruptedRunError: Ctrl-C was pressed.
    """
    started = time.perf_counter()
    config = recipe.preprocess
    sources = find_videos(videos)
    vae = _load_autoencoder(model, recipe) if config.store == "latents" else None
    maker, poses = ClipMaker(config, vae), PoseFinder(config.pose_detector)
    shard_bytes = config.shard_megabytes * MEBIBYTE
    with ShardWriter(output, recipe_to_toml(recipe), _manifest(config, vae), shard_bytes) as writer:
        waiting = [source for source in sources if source.name not in writer.done]
        if not waiting:
            progress.note(f"All {len(sources)} videos are done already: nothing new.")
        before = writer.num_clips
        faceless = _work_off(waiting, len(sources), writer, maker, poses, progress)
    made = writer.num_clips - before
    if faceless:
        progress.note(f"{faceless} of {made} clips show no face; they are kept without one.")
    skipped = Counter(str(row["reason"]) for row in writer.skipped)
    if not writer.num_clips:
        raise _nothing_kept(videos, output, skipped)
    seconds = time.perf_counter() - started
    return PreprocessSummary(
        output=output,
        kept=writer.num_clips,
        skipped=dict(sorted(skipped.items())),
        seconds=seconds,
        frames_per_second=made * config.num_frames / seconds,
    )


def _work_off(
    waiting: list[Source],
    total: int,
    writer: ShardWriter,
    maker: ClipMaker,
    poses: PoseFinder,
    progress: Progress,
) -> int:
    """Process the `waiting` of `total` sources; return the number of clips without a face."""
    done = faceless = 0
    try:
        with progress.task("Preprocessing", total, total - len(waiting)) as advance:
            for source in waiting:
                faceless += _process(source, writer, maker, poses)
                writer.finish(source.name)
                done += 1
                advance(1, source.name)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"Interrupted after {done} of {len(waiting)} videos.",
            hint="Run the same command again: it continues where it stopped.",
        ) from None
    return faceless


def _process(source: Source, writer: ShardWriter, maker: ClipMaker, poses: PoseFinder) -> int:
    """Store the clips of one video; return how many of them have no face."""
    config = maker.config
    try:
        info = probe_video(source.path)
        windows = cut_windows(info.num_frames, config.num_frames, config.frame_stride)
        find_poses = poses.of_video(info)
        if not windows:
            needed = (config.num_frames - 1) * config.frame_stride + 1
            writer.skip(source.name, "too_short", f"{info.num_frames} frames of {needed}")
        elif find_poses is None:
            writer.skip(source.name, "no_keypoints", f"{source.path.stem}.npz is not beside it")
        else:
            return _store_clips(source, info, windows, find_poses, writer, maker)
    except InputError as error:  # in the middle of a video, the clips before it stay
        writer.skip(source.name, "unreadable", error.message)
    return 0


def _store_clips(
    source: Source,
    info: VideoInfo,
    windows: list[Window],
    find_poses: FindPoses,
    writer: ShardWriter,
    maker: ClipMaker,
) -> int:
    """Store those of `windows` that show a person; return how many of them show no face."""
    fps = float(info.fps / maker.config.frame_stride)
    missing = [w for w in windows if make_clip_id(source.name, w.start) not in writer]
    faceless = 0
    for window, frames in _read_windows(source.path, missing):
        keypoints = find_poses(window, frames)
        confidence = body_confidence(keypoints)
        if confidence < maker.config.min_confidence:
            detail = f"{window}: mean body score {confidence:.2f}"
            writer.skip(source.name, "no_person", detail)
            continue
        clip = maker.make(source.name, fps, window, frames, keypoints)
        writer.add(clip)
        faceless += clip.latents is not None and clip.face_latents is None
    return faceless


def _read_windows(path: Path, windows: list[Window]) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Yield each window with its frames (F, H, W, 3); only one window is held at a time."""
    frames = iter_frames(path, [index for window in windows for index in window.indices])
    for window in windows:
        yield window, np.stack(list(islice(frames, window.num_frames)))


def _load_autoencoder(model: Path | None, recipe: Recipe) -> Any:
    vae: Any = load_vae(model or bundled("tiny/teacher"))
    return vae.to(pick_device(recipe.device))


def _manifest(config: PreprocessConfig, vae: Any | None) -> dict[str, object]:
    """Return what clips depend on, and the versions that made them."""
    versions = {"dancelcm": __version__, **{name: version(name) for name in LIBRARIES}}
    manifest: dict[str, object] = {"preprocess": asdict(config), "versions": versions}
    if vae is not None:
        manifest["autoencoder"] = {
            "latent_channels": vae.config.latent_channels,
            "scaling_factor": vae.config.scaling_factor,
            "reduction": reduction(vae),
            "sha256": hash_tensors(vae.state_dict()),
        }
    return manifest


def _nothing_kept(videos: Path, output: Path, skipped: Counter[str]) -> InputError:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return InputError(
        f"{videos} must give at least one clip, got none: {counts}.",
        hint=f"See {output / 'skipped.jsonl'}; to try other settings, choose another --output.",
    )
