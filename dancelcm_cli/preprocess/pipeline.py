"""The stage: videos in, a shard folder out."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.atomic import require_writable
from dancelcm_cli.data.shard_files import part_name
from dancelcm_cli.data.shards import ShardWriter
from dancelcm_cli.errors import InputError, InterruptedRunError
from dancelcm_cli.preprocess.engine import Engine, InProcess
from dancelcm_cli.preprocess.planning import Planner
from dancelcm_cli.preprocess.preparation import prepare
from dancelcm_cli.preprocess.recording import Recorder
from dancelcm_cli.preprocess.report import write_report
from dancelcm_cli.preprocess.sources import Source, find_videos, share_of
from dancelcm_cli.preprocess.stages import StageSettings, encode, fingerprint, read, survey
from dancelcm_cli.progress import Progress

MEBIBYTE = 2**20
IN_PROCESS = InProcess()
CPU_REMEDIES = {
    "dwpose": "With an NVIDIA GPU: pip uninstall onnxruntime, then pip install onnxruntime-gpu.",
    "openpose": "With an NVIDIA GPU and a torch build for it, it runs there.",
}


@dataclass(frozen=True)
class PreprocessSummary:
    """What a run left behind."""

    output: Path
    kept: int  # clips in the folder, those of earlier runs included
    skipped: dict[str, int]  # how often each reason stands in skipped.jsonl
    seconds: float  # that this run took
    frames_per_second: float  # of clips made by this run
    stage_seconds: dict[str, float]  # that each stage took, summed over the processes


def preprocess_videos(
    videos: Path,
    output: Path,
    model: Path | None,
    recipe: Recipe,
    progress: Progress,
    share: tuple[int, int] | None = None,
    engine: Engine = IN_PROCESS,
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
        engine: Where the work is done; the bytes written are the same.

    Raises:
        InputError: There are no videos, or none gave a clip; `output` was made otherwise.
        ConfigError: The recipe's sizes do not fit the autoencoder.
        WeightsMissingError: The model's network needs an image encoder, and it has none.
        OutOfMemoryError: Workers were killed again and again.
        InterruptedRunError: Ctrl-C was pressed.
    """
    started = time.perf_counter()
    config = recipe.preprocess
    sources = find_videos(videos, output)
    require_writable(output)
    if share is not None:
        sources, output = share_of(sources, *share), output / part_name(*share)
    settings, manifest = prepare(model, recipe, output)
    shard_bytes = config.shard_megabytes * MEBIBYTE
    with ShardWriter(output, recipe_to_toml(recipe), manifest, shard_bytes) as writer:
        before = writer.num_clips
        planner, recorder = Planner(writer, config), Recorder(writer)
        with engine:
            _work_off(sources, settings, engine, planner, recorder, progress)
    made = writer.num_clips - before
    _tell(progress, len(sources), made, planner, recorder)
    skipped = Counter(row.reason for row in writer.skipped)
    if not writer.num_clips and share is None:  # the other shares may hold some
        raise _nothing_kept(videos, output, skipped)
    write_report(output)  # also where nothing is new: a run before may have ended just before it
    seconds = time.perf_counter() - started
    return PreprocessSummary(
        output=output,
        kept=writer.num_clips,
        skipped=dict(sorted(skipped.items())),
        seconds=seconds,
        frames_per_second=made * config.num_frames / seconds,
        stage_seconds=recorder.watch.seconds,
    )


def _work_off(
    sources: list[Source],
    settings: StageSettings,
    engine: Engine,
    planner: Planner,
    recorder: Recorder,
    progress: Progress,
) -> None:
    done = 0
    try:
        with progress.task("Preprocessing", len(sources)) as advance:

            def finished(name: str) -> None:
                nonlocal done
                done += 1
                advance(1, name)

            warn_of_cpu = CpuWarning(settings.detector, progress)
            candidates = planner.sift(engine.map(fingerprint, sources), finished)
            jobs = planner.jobs(engine.map(partial(survey, settings), candidates))
            for reading in engine.chain(partial(read, settings), partial(encode, settings), jobs):
                recorder.record(reading)
                warn_of_cpu(recorder)
                if reading.job.last:
                    finished(reading.job.name)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"Interrupted after {done} of {len(sources)} videos; what is done is kept."
        ) from None


def _tell(
    progress: Progress,
    num_sources: int,
    made: int,
    planner: Planner,
    recorder: Recorder,
) -> None:
    """Tell what the user should know besides the counts."""
    if num_sources and not planner.num_new:
        progress.note(f"All {num_sources} videos are done already: nothing new.")
    if recorder.num_faceless:
        progress.note(
            f"{recorder.num_faceless} of {made} clips show no face; they are kept without one."
        )


class CpuWarning:
    """Tells once that a detector which is meant for a GPU runs on the CPU, and how fast."""

    def __init__(self, detector: str, progress: Progress) -> None:
        self._detector, self._progress = detector, progress
        self._is_due = detector in CPU_REMEDIES

    def __call__(self, recorder: Recorder) -> None:
        """Warn if frames have been looked at on the CPU."""
        rate = recorder.watch.rate("detect")
        if self._is_due and rate and "cpu" in recorder.devices:
            self._progress.note(
                f"WARNING: {self._detector} runs on the CPU, {rate:.1f} frames/s in each worker."
                f" {CPU_REMEDIES[self._detector]}"
            )
            self._is_due = False


def _nothing_kept(videos: Path, output: Path, skipped: Counter[str]) -> InputError:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return InputError(
        f"{videos} must give at least one clip, got none: {counts}.",
        hint=f"See {output / 'skipped.jsonl'}; to try other settings, choose another --output.",
    )
