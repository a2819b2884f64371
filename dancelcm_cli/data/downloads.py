"""Fetching the weights of others: from their mirrors in turn, or from a folder copied by hand."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dancelcm_cli.data.atomic import atomic_path, refusals_naming, rename_complete
from dancelcm_cli.data.claim import claimed
from dancelcm_cli.data.http_download import MirrorError, download
from dancelcm_cli.data.weight_files import (
    expected_sha256,
    file_sha256,
    find_weights,
    part_paths,
    readable_size,
    require_sha256,
    verify_file,
    weight_status,
    weights_folder,
    weights_path,
)
from dancelcm_cli.data.weight_ledger import HashRecord, accept, is_accepted, record_hash
from dancelcm_cli.data.weight_table import Licence, WeightFile, weight_file
from dancelcm_cli.errors import (
    DISK_FULL,
    ConfigError,
    InputError,
    InterruptedRunError,
    WeightsMissingError,
    refused_by_system,
)
from dancelcm_cli.progress import Progress, SilentProgress

__all__ = ["fetch_files", "find_weights", "verify_file"]

OFFLINE_VARIABLES = ("DANCELCM_OFFLINE", "HF_HUB_OFFLINE")
YES = ("1", "true", "yes", "on")

Consent = Callable[[Licence, Sequence[str]], bool]


def fetch_files(
    names: Sequence[str],
    folder: Path | None = None,
    copies: Path | None = None,
    offline: bool = False,
    consent: Consent | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch those of the weights `names` that are not there yet, and return the files of all.

    Args:
        names: rows of the table of weights.
        folder: where they are kept; by default the cache.
        copies: a folder that somebody filled by hand, to be used instead of the network.
        offline: leaves the network alone, as `DANCELCM_OFFLINE=1` and `HF_HUB_OFFLINE=1` do.
        consent: whether the user accepts a licence, which is for the weights of these names; asked
            once per licence and folder. Without it, no new licence is accepted.
        progress: is told what happens.

    Raises:
        ConfigError: a name is unknown, or a licence is not accepted.
        InputError: a file has the wrong hash, or the folder is too small, in use or unusable.
        WeightsMissingError: no mirror gives a file, `copies` lacks it, or the network is forbidden.
        InterruptedRunError: the user stopped it; what has come is kept.
    """
    folder, progress = folder or weights_folder(), progress or SilentProgress()
    files = [weight_file(name) for name in dict.fromkeys(names)]
    with _usable(folder):
        missing = [file for file in files if weight_status(file, folder).state == "missing"]
        if missing:
            if copies is None:
                _require_network(missing, folder, offline)
            else:
                _require_copies(missing, copies)
            _require_licences(missing, folder, consent)
            with claimed(folder):
                _require_space(missing, folder)
                for file in missing:
                    if copies is None:
                        _fetch(file, folder, progress)
                    else:
                        _copy(file, copies, folder, progress)
        return [find_weights(file.name, folder) for file in files]


def _require_network(missing: Sequence[WeightFile], folder: Path, offline: bool) -> None:
    variables = [name for name in OFFLINE_VARIABLES if os.environ.get(name, "").lower() in YES]
    if offline or variables:
        names = [file.name for file in missing]
        reason = "--offline" if offline else variables[0]
        raise WeightsMissingError(
            f"{', '.join(names)} must be in {folder} already, as {reason} forbids to fetch.",
            hint="Copy the files into a folder by hand and type: "
            f"dancelcm models fetch {' '.join(names)} --from FOLDER",
        )


def _require_copies(missing: Sequence[WeightFile], copies: Path) -> None:
    lacking = [file for file in missing if not _copy_path(file, copies).is_file()]
    if lacking:
        raise WeightsMissingError(
            f"{copies} must hold {', '.join(file.file_name for file in lacking)}, but does not.",
            hint=f"It can be had from {lacking[0].mirrors[0].url}",
        )


def _require_licences(missing: Sequence[WeightFile], folder: Path, consent: Consent | None) -> None:
    refused = []
    for licence in dict.fromkeys(file.licence for file in missing):
        if is_accepted(folder, licence):
            continue
        names = [file.name for file in missing if file.licence == licence]
        if consent is not None and consent(licence, names):
            accept(folder, licence)
        else:
            refused.append(f"{', '.join(names)} ({licence.name}, {licence.url})")
    if refused:
        raise ConfigError(
            f"These licences must be accepted first: {'; '.join(refused)}.",
            hint="Read them, then add --accept-licence.",
        )


def _require_space(missing: Sequence[WeightFile], folder: Path) -> None:
    needed = sum(file.size - weight_status(file, folder).fetched for file in missing)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"The disk of {folder} must have {readable_size(needed)} free, "
            f"got {readable_size(free)}.",
            hint="Free some space, or give another folder by --output or DANCELCM_CACHE.",
        )


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Turn what the system says into what the user can do."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise refused_by_system(error) from error
        raise InputError(
            f"{folder} must be a folder that can be written to, but: {error}.",
            hint="Give another one by --output or DANCELCM_CACHE.",
        ) from error
    except KeyboardInterrupt:
        raise InterruptedRunError("Interrupted; what has come is kept.") from None


def _fetch(file: WeightFile, folder: Path, progress: Progress) -> None:
    """Try the mirrors in turn until one gives the file."""
    reasons: list[str] = []
    for url in (mirror.url for mirror in file.mirrors):
        host = urlsplit(url).hostname
        if reasons:
            progress.note(f"{file.name}: {reasons[-1]}; trying {host}")
        try:
            _fetch_from(url, file, folder, progress)
            return
        except MirrorError as error:
            reasons.append(f"{host}: {error}")
    raise WeightsMissingError(
        f"{file.name} must come from one of its mirrors, but none gives it ({'; '.join(reasons)}).",
        hint=f"Type the same later, or copy {file.file_name} into a folder by hand and type: "
        f"dancelcm models fetch {file.name} --from FOLDER",
    )


def _fetch_from(url: str, file: WeightFile, folder: Path, progress: Progress) -> None:
    path, expected = weights_path(file, folder), expected_sha256(file, folder)
    # What one mirror began, another may continue only if the hash will tell whether they agree.
    origin = expected or hashlib.sha256(url.encode()).hexdigest()
    part = path.with_name(f"{path.name}.{origin[:8]}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    begun, host = part.stat().st_size if part.exists() else 0, urlsplit(url).hostname or ""
    with (
        progress.task(file.name, file.size, completed=begun, unit="bytes") as advance,
        refusals_naming(path),
    ):
        download(url, part, file.exact_size, lambda count: advance(count, host), progress.note)
    sha256 = file_sha256(part)
    if sha256 == (expected or sha256):
        rename_complete(part, path)
        _keep(file, sha256, folder, progress)
        return
    part.unlink()
    if not begun:
        raise MirrorError(f"its sha256 must be {expected}, got {sha256}")
    progress.note(f"{file.name}: what was begun earlier is wrong; starting anew from {host}")
    _fetch_from(url, file, folder, progress)


def _copy(file: WeightFile, copies: Path, folder: Path, progress: Progress) -> None:
    source = _copy_path(file, copies)
    hint = f"Copy {file.file_name} again by hand."
    sha256 = require_sha256(source, expected_sha256(file, folder), hint)
    with atomic_path(weights_path(file, folder)) as temporary:
        shutil.copyfile(source, temporary)
    _keep(file, sha256, folder, progress)


def _copy_path(file: WeightFile, copies: Path) -> Path:
    """Return where `copies` holds `file`: in it, or below it as in a weights folder."""
    below = weights_path(file, copies)
    return below if below.is_file() else copies / file.file_name


def _keep(file: WeightFile, sha256: str, folder: Path, progress: Progress) -> None:
    """Record the hash of a file that is whole, and remove what else came of it."""
    path = weights_path(file, folder)
    if expected_sha256(file, folder) is None:
        progress.note(f"{file.name}: nobody states its sha256; recorded as {sha256}")
    record_hash(folder, file.name, HashRecord.of(path, sha256))
    for leftover in part_paths(path):
        leftover.unlink()
