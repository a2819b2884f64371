"""From test videos and what candidates show of them to rows of scores and a report."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.candidates import repeat_reference, show_predictions
from dancelcm_cli.evaluate.datasets import Dataset
from dancelcm_cli.evaluate.generation import Maker, generate_predictions, narrow_videos
from dancelcm_cli.evaluate.measurement import measure
from dancelcm_cli.evaluate.networks import open_networks, require_weights
from dancelcm_cli.evaluate.notes import Scored, comparability_notes
from dancelcm_cli.evaluate.pairing import coverage, match_videos
from dancelcm_cli.evaluate.protocol import make_protocol
from dancelcm_cli.evaluate.report import write_report
from dancelcm_cli.evaluate.results import EvaluationResult
from dancelcm_cli.evaluate.self_check import Check
from dancelcm_cli.evaluate.sources import FrameSource, list_sources
from dancelcm_cli.progress import Progress

_PACKAGES = ("dancelcm", "numpy", "pillow", "scikit-image", "torch")


def evaluate_dataset(
    test_set: Dataset,
    output: Path,
    recipe: Recipe,
    progress: Progress,
    predictions: Sequence[Path] = (),
    makers: Iterable[Maker] = (),
    self_check: Sequence[Check] = (),
) -> EvaluationResult:
    """Score predictions of a test set, write the report into `output` and return the result.

    Args:
        test_set: The true videos.
        output: The folder of the report.
        recipe: `evaluate` and `device` are used.
        progress: Told what is going on.
        predictions: Folders of videos to score, named like the test videos: a row each.
        makers: Models whose predictions are made in `output`/predictions: a row each.
        self_check: Goes into the report.

    Raises:
        InputError: The predictions do not fit the data set, or there are none.
        WeightsMissingError: A metric that must be measured has no weights on this machine.
    """
    config = recipe.evaluate
    protocol = make_protocol(config, test_set.geometry)
    require_weights(protocol, config)
    folders = _gather(test_set, output, predictions, makers, progress)
    shown = {name: list_sources(folder) for name, folder in folders.items()}
    scored = _match(test_set, folders, shown, config.allow_missing)
    networks = open_networks(protocol, config, scored.videos, pick_device(recipe.device))
    candidates = [repeat_reference(protocol)]
    for name, sources in shown.items():
        candidates.append(show_predictions(name, str(folders[name]), sources, protocol))
    rows, clips = measure(scored.videos, candidates, protocol, networks, progress)
    result = EvaluationResult(
        dataset=test_set.name,
        split=test_set.split,
        root=str(test_set.root),
        num_videos=len(scored.videos),
        num_frames=sum(video.num_frames for video in rows[0].videos),
        coverage=scored.coverage,
        protocol=protocol,
        rows=rows,
        clips=clips,
        weights=networks.weights,
        skipped=networks.skipped,
        self_check=tuple(self_check),
        notes=comparability_notes(test_set, protocol, scored, clips, networks.skipped),
        environment=_environment(),
    )
    write_report(result, output)
    return result


def _gather(
    test_set: Dataset,
    output: Path,
    predictions: Sequence[Path],
    makers: Iterable[Maker],
    progress: Progress,
) -> dict[str, Path]:
    """Return the folders of predictions by the names of their rows; fill those of `makers`."""
    folders: dict[str, Path] = {}
    for folder in predictions:
        _add(folders, folder.resolve().name, folder)
    for maker in makers:
        _add(folders, maker.name, output / "predictions" / maker.folder_name)
        generate_predictions(test_set.videos, maker, folders[maker.name], progress)
    if not folders:
        raise InputError(
            "There must be something to score, got neither predictions nor a model.",
            hint="Add `--predictions FOLDER` or `--model FOLDER`.",
        )
    return folders


def _add(folders: dict[str, Path], name: str, folder: Path) -> None:
    if name in folders:
        raise InputError(
            f"Rows must have different names, got {name!r} for {folders[name]} and {folder}.",
            hint="Rename one of the folders.",
        )
    folders[name] = folder


def _match(
    test_set: Dataset,
    folders: Mapping[str, Path],
    shown: Mapping[str, Mapping[str, FrameSource]],
    allow_missing: bool,
) -> Scored:
    """Return the frames of the test set that all of `shown` hold, so that rows can be compared."""
    asked = test_set.videos
    for folder in folders.values():
        asked = narrow_videos(asked, folder)
    matched, unused, lossy = asked, set(), 0
    for sources in shown.values():
        matched = match_videos(matched, sources, allow_missing)
        unused |= sources.keys() - {video.name for video in asked}
        lossy += sum(not sources[video.name].lossless for video in matched)
    return Scored(matched, coverage(asked, matched), lossy, tuple(sorted(unused)))


def _environment() -> dict[str, str]:
    """Return the versions that the numbers may depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
