"""The stage: videos in, a shard folder out."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dancelcm_cli import __version__
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import PreprocessConfig, Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.image_encoder import require_image_encoder
from dancelcm_cli.core.model_folder import load_image_encoder, load_vae, read_config
from dancelcm_cli.core.vae import reduction
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.clips import hash_tensors
from dancelcm_cli.data.shard_files import part_name
from dancelcm_cli.data.shards import ShardWriter
from dancelcm_cli.errors import InputError, InterruptedRunError
from dancelcm_cli.preprocess.encoding import ClipMaker
from dancelcm_cli.preprocess.poses import PoseFinder
from dancelcm_cli.preprocess.sources import Source, find_videos, share_of
from dancelcm_cli.preprocess.worker import Worker
from dancelcm_cli.progress import Progress

MEBIBYTE = 2**20
LIBRARIES = ("av", "numpy", "torch")  # whose version may change what comes out


@dataclass(frozen=True)
class PreprocessSummary:
    """What a run left behind."""

    output: Path
    kept: int  # clips in the folder, those of earlier runs included
    skipped: dict[str, int]  # how often each reason stands in skipped.jsonl
    seconds: float  # that this run took
    frames_per_second: float  # of clips made by this run


def preprocess_videos(
    videos: Path,
    output: Path,
    model: Path | None,
    recipe: Recipe,
    progress: Progress,
    share: tuple[int, int] | None = None,
) -> PreprocessSummary:
    """Fill the shard folder `output` from the video, or the folder of videos, `videos`.

    Each video is cut into as many windows of `preprocess.num_frames` frames as fit. What is left
    out stands in `skipped.jsonl` with one of the reasons of `filters.py`. A repeated run does what
    is missing, byte for byte as if it had not been interrupted.

    Args:
        videos: A video, or a folder that is searched in depth.
        output: The shard folder.
        model: The model folder whose autoencoder and image encoder encode; None: the bundled one.
        recipe: Its sections `preprocess` and `device` apply.
        progress: Told about each video.
        share: I and N: do the I-th, from 1, of N shares of the videos, in a folder of its own in
            `output`; `ShardReader` reads all of them as one.

    Raises:
        InputError: There are no videos, or none gave a clip; `output` was made otherwise.
        ConfigError: The recipe's sizes do not fit the autoencoder.
        WeightsMissingError: The model's network needs an image encoder, and it has none.
        InterruptedRunError: Ctrl-C was pressed.
    """
    started = time.perf_counter()
    config = recipe.preprocess
    sources = find_videos(videos)
    if share is not None:
        sources, output = share_of(sources, *share), output / part_name(*share)
    encoders = _load_encoders(model, recipe) if config.store == "latents" else (None, None)
    maker, poses = ClipMaker(config, *encoders), PoseFinder(config.pose_detector)
    shard_bytes = config.shard_megabytes * MEBIBYTE
    manifest = _manifest(config, *encoders)
    with ShardWriter(output, recipe_to_toml(recipe), manifest, shard_bytes) as writer:
        before = writer.num_clips
        worker = Worker(writer, maker, poses)
        _work_off(sources, worker, progress)
    made = writer.num_clips - before
    if sources and not worker.num_new:
        progress.note(f"All {len(sources)} videos are done already: nothing new.")
    if worker.num_faceless:
        progress.note(
            f"{worker.num_faceless} of {made} clips show no face; they are kept without one."
        )
    skipped = Counter(row.reason for row in writer.skipped)
    if not writer.num_clips and share is None:  # the other shares may hold some
        raise _nothing_kept(videos, output, skipped)
    seconds = time.perf_counter() - started
    return PreprocessSummary(
        output=output,
        kept=writer.num_clips,
        skipped=dict(sorted(skipped.items())),
        seconds=seconds,
        frames_per_second=made * config.num_frames / seconds,
    )


def _work_off(sources: list[Source], worker: Worker, progress: Progress) -> None:
    done = 0
    try:
        with progress.task("Preprocessing", len(sources)) as advance:
            for source in sources:
                worker.process(source)
                done += 1
                advance(1, source.name)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"Interrupted after {done} of {len(sources)} videos.",
            hint="Run the same command again: it continues where it stopped.",
        ) from None


def _load_encoders(model: Path | None, recipe: Recipe) -> tuple[Any, Any | None]:
    """Return autoencoder and, where the model has one, image encoder."""
    folder, device = model or bundled("tiny/teacher"), pick_device(recipe.device)
    vae: Any = load_vae(folder)
    image_encoder = load_image_encoder(folder)
    network = folder / "unet" / "config.json"
    if network.is_file():
        require_image_encoder(read_config(network), image_encoder)
    return vae.to(device), None if image_encoder is None else image_encoder.to(device)


def _manifest(
    config: PreprocessConfig, vae: Any | None, image_encoder: Any | None
) -> dict[str, object]:
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
    if image_encoder is not None:
        manifest["image_encoder"] = {"sha256": hash_tensors(image_encoder.state_dict())}
    return manifest


def _nothing_kept(videos: Path, output: Path, skipped: Counter[str]) -> InputError:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return InputError(
        f"{videos} must give at least one clip, got none: {counts}.",
        hint=f"See {output / 'skipped.jsonl'}; to try other settings, choose another --output.",
    )
