"""From test videos and what candidates show of them to rows of scores and a report."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.device import pick_device
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.data.atomic import remove_temporaries
from dancelcm_cli.data.claim import claimed
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.candidates import repeat_reference, show_predictions
from dancelcm_cli.evaluate.costs import Cost, read_cost
from dancelcm_cli.evaluate.datasets import Dataset
from dancelcm_cli.evaluate.frame_log import FRAME_LOG
from dancelcm_cli.evaluate.generation import (
    Maker,
    generate_predictions,
    is_made,
    narrow_videos,
)
from dancelcm_cli.evaluate.measurement import measure
from dancelcm_cli.evaluate.networks import open_networks, require_weights
from dancelcm_cli.evaluate.notes import Scored, comparability_notes
from dancelcm_cli.evaluate.pairing import Shown, count_frames, coverage, match_videos
from dancelcm_cli.evaluate.protocol import make_protocol
from dancelcm_cli.evaluate.report import write_report
from dancelcm_cli.evaluate.results import EvaluationResult
from dancelcm_cli.evaluate.self_check import Check
from dancelcm_cli.evaluate.sources import FrameSource, list_sources
from dancelcm_cli.evaluate.web_report import WEB_REPORT, write_web_report
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
    processes: Processes = ALONE,
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
        processes: Those that share the work; the first writes the report.

    Raises:
        InputError: The predictions do not fit the data set, or there are none; `output` is in use
            or cannot be written to.
        WeightsMissingError: A metric that must be measured has no weights on this machine.
    """
    config = recipe.evaluate
    device = pick_device(recipe.device)
    protocol = make_protocol(config, test_set.geometry)
    require_weights(protocol, config)
    with _own(output, processes):
        folders, costs = _gather(test_set, output, predictions, makers, progress, processes)
        scored, pictures = _match(test_set, folders, config.allow_missing)
        networks = open_networks(protocol, config, scored.videos, device)
        candidates = [repeat_reference()]
        for (name, folder), sources in zip(folders.items(), pictures, strict=True):
            candidates.append(show_predictions(name, str(folder), sources, is_made(folder)))
        rows, clips = measure(
            scored.videos,
            candidates,
            protocol,
            networks,
            progress,
            output / FRAME_LOG,
            processes,
            costs,
        )
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
        if processes.first:
            write_report(result, output)
            write_web_report(
                result, scored.videos, candidates, output / FRAME_LOG, output / WEB_REPORT
            )
        processes.wait()
        return result


@contextmanager
def _own(output: Path, processes: Processes) -> Iterator[None]:
    """Claim the folder of the report for the processes, of which the first does so."""
    if not processes.first:
        yield
        return
    with claimed(output):
        remove_temporaries(output)
        yield


def _gather(
    test_set: Dataset,
    output: Path,
    predictions: Sequence[Path],
    makers: Iterable[Maker],
    progress: Progress,
    processes: Processes,
) -> tuple[dict[str, Path], dict[str, Cost]]:
    """Return the folders of predictions, those of `makers` filled, and costs, by row."""
    folders: dict[str, Path] = {}
    costs: dict[str, Cost] = {}
    names = [video.name for video in test_set.videos]
    for folder in predictions:
        _add(folders, folder.resolve().name, folder)
    for maker in makers:
        folder = output / "predictions" / maker.folder_name
        _add(folders, maker.name, folder)
        generate_predictions(test_set.videos, maker, folder, progress, processes)
        cost = read_cost(folder, names, maker.network_calls)
        if cost is not None:
            costs[maker.name] = cost
    if not folders:
        raise InputError(
            "There must be something to score, got neither predictions nor a model.",
            hint="Add `--predictions FOLDER` or `--model FOLDER`.",
        )
    return folders, costs


def _add(folders: dict[str, Path], name: str, folder: Path) -> None:
    if name in folders:
        raise InputError(
            f"Rows must have different names, got {name!r} for {folders[name]} and {folder}.",
            hint="Rename one of the folders.",
        )
    folders[name] = folder


def _match(
    test_set: Dataset, folders: Mapping[str, Path], allow_missing: bool
) -> tuple[Scored, list[dict[str, FrameSource]]]:
    """Return the frames of the test set that all rows show, so that rows can be compared."""
    shown = [
        Shown(list_sources(folder), narrow_videos(test_set.videos, folder), is_made(folder))
        for folder in folders.values()
    ]
    matched, pictures = match_videos(shown, allow_missing)
    asked = min((each.asked for each in shown), key=lambda videos: count_frames(videos))
    lossy = sum(not source.lossless for sources in pictures for source in sources.values())
    names = {video.name for video in test_set.videos}
    unused = sorted({name for each in shown for name in each.sources} - names)
    return Scored(matched, coverage(asked, matched), lossy, tuple(unused)), pictures


def _environment() -> dict[str, str]:
    """Return the versions that the numbers may depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
