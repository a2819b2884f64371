"""From test videos to pairs of frame streams, scores of frames, rows of means and a report."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dancelcm_cli.config.schema import EvaluateConfig, Recipe
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.datasets import Dataset, TestVideo, open_dataset
from dancelcm_cli.evaluate.generation import (
    Generate,
    describe_making,
    generate_predictions,
    narrow_videos,
)
from dancelcm_cli.evaluate.pairing import Pairing, pair_videos
from dancelcm_cli.evaluate.protocol import DISCO_256, Protocol, make_protocol
from dancelcm_cli.evaluate.report import write_report
from dancelcm_cli.evaluate.results import (
    REPEATED_REFERENCE,
    EvaluationResult,
    make_row,
)
from dancelcm_cli.evaluate.scoring import score_video
from dancelcm_cli.evaluate.sources import list_sources
from dancelcm_cli.progress import Progress

_LONG_VIDEO = 100  # frames; from here on a single one changes little
_PACKAGES = ("dancelcm", "numpy", "pillow", "scikit-image", "torch")


def evaluate_dataset(
    dataset: str,
    data: Path | None,
    predictions: Path | None,
    model: Path | None,
    output: Path,
    recipe: Recipe,
    progress: Progress,
    truth: Path | None = None,
    generate: Generate | None = None,
) -> EvaluationResult:
    """Score predictions of a test set, write the report into `output` and return the result.

    Args:
        dataset: One of `datasets.DATASETS`.
        data: The folder of the test set; None looks in the usual places.
        predictions: Videos to score, named like the test videos; None makes them in
            `output`/predictions with `model` and `generate`.
        model: The folder of the model that makes the predictions.
        output: The folder of the report.
        recipe: `evaluate`, `animate` and `seed` are used.
        progress: Told what is going on.
        truth: The folder of true videos, for the data set "folder".
        generate: Predicts one test video.

    Raises:
        InputError: The data set is not there, or the predictions do not fit it.
    """
    if truth is not None and dataset != "folder":
        raise InputError(
            f"The true videos of {dataset} must be its own, got {truth}.",
            hint=f"Use `--dataset folder --truth {truth}`, or `--data` for the place of {dataset}.",
        )
    test_set = open_dataset(dataset, truth or data)
    name = "predictions"
    if predictions is None:
        if model is None or generate is None:
            raise InputError(
                "There must be something to score, got neither predictions nor a model.",
                hint="Add `--predictions FOLDER` or `--model FOLDER`.",
            )
        name, predictions = f"{model.name}, {recipe.evaluate.steps} steps", output / "predictions"
        making = describe_making(model, recipe)
        generate_predictions(test_set.videos, generate, predictions, making, progress)
    result = _score(test_set, name, predictions, recipe.evaluate, progress)
    write_report(result, output)
    return result


def _score(
    test_set: Dataset, name: str, predictions: Path, config: EvaluateConfig, progress: Progress
) -> EvaluationResult:
    """Score the videos of the folder `predictions` as the method `name`."""
    videos = narrow_videos(test_set.videos, predictions)
    pairing = pair_videos(videos, list_sources(predictions), config.allow_missing)
    protocol = make_protocol(config, test_set.geometry)
    comparisons = [
        score_video(pair.video, pair.prediction, protocol)
        for pair in progress.track(pairing.pairs, "Scoring videos", len(pairing.pairs))
    ]
    return EvaluationResult(
        dataset=test_set.name,
        split=test_set.split,
        root=str(test_set.root),
        predictions=str(predictions),
        num_videos=len(comparisons),
        num_frames=sum(found.prediction.num_frames for found in comparisons),
        coverage=pairing.coverage,
        protocol=protocol,
        rows=(
            make_row(REPEATED_REFERENCE, [found.repeated_reference for found in comparisons]),
            make_row(name, [found.prediction for found in comparisons]),
        ),
        notes=tuple(_notes(test_set, protocol, pairing)),
        environment=_environment(),
    )


def _notes(test_set: Dataset, protocol: Protocol, pairing: Pairing) -> Iterator[str]:
    """Yield a sentence for each reason why the numbers cannot be set beside those of the papers."""
    yield from test_set.notes
    if protocol.name != DISCO_256.name:
        yield f"Protocol {protocol.name}: the papers use DisCo's definitions (disco-256)."
    if (protocol.height, protocol.width) != (DISCO_256.height, DISCO_256.width):
        yield (
            f"Size {protocol.height} x {protocol.width}: the papers compare frames of 256 x 256"
            " pixels, and every metric depends on the size."
        )
    if protocol.geometry != test_set.geometry:
        yield f"Geometry {protocol.geometry}: {test_set.name} is measured with {test_set.geometry}."
    shortest = min(len(pair.video.scored_indices) for pair in pairing.pairs)
    if protocol.include_reference_frame and shortest < _LONG_VIDEO:
        yield (
            "The reference frame is scored, too, as in the papers: in short videos the 100 dB of"
            " its exact copy lift the mean. `--set evaluate.protocol=textbook` leaves it out."
        )
    if pairing.coverage < 1:
        yield f"Incomplete: {pairing.coverage:.1%} of the frames are predicted and scored."
    shortened = sum(not _is_whole(pair.video) for pair in pairing.pairs)
    if shortened:
        yield f"Only a part of the frames of {shortened} videos is scored."
    lossy = sum(not pair.prediction.lossless for pair in pairing.pairs)
    if lossy:
        yield f"{lossy} predictions were read from files that may have lost quality (not PNG)."
    if pairing.unused:
        yield f"Predictions of no test video were left out: {', '.join(pairing.unused)}."
    yield "LPIPS and FVD are not measured."


def _is_whole(video: TestVideo) -> bool:
    return len(video.scored_indices) == video.truth.num_frames


def _environment() -> dict[str, str]:
    """Return the versions that the numbers may depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
