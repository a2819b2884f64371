"""The files of a shard folder: how each is laid out, read and checked."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.clips import Clip, IndexRow, clip_from_tensors
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import parse_json, read_json, require_plain_file

FORMAT_VERSION = 1
# Keys of the manifest that may differ between the runs that fill one folder.
INFORMATIVE_KEYS = frozenset({"versions"})
# What safetensors and the columns of a row raise where they are not what they must be.
DAMAGE = (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError)
PARTS = "part-[0-9]*-of-[0-9]*"


def save_shard(path: Path, clips: dict[str, dict[str, torch.Tensor]], rows: list[IndexRow]) -> None:
    """Write the tensors of each clip, by clip id and field, and the index rows, in one file."""
    tensors = {
        f"{clip_id}/{field}": tensor
        for clip_id, fields in clips.items()
        for field, tensor in fields.items()
    }
    # One key only: safetensors writes several in no fixed order, and shards are to be byte-equal.
    metadata = {"clips": json.dumps([asdict(row) for row in rows])}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


class Shard:
    """One shard file, opened but not loaded: parsing its header once makes a clip cheap to read.

    Attributes:
        rows: The index rows of its clips, from its metadata.

    Raises:
        InputError: The file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            require_plain_file(path, "a shard")
            self._file = cast("Any", safe_open(path, framework="pt"))  # its methods have no types
            self.rows = [
                IndexRow.from_json(row) for row in parse_json(self._file.metadata()["clips"])
            ]
        except InputError as error:
            raise damaged_shard(path, error.message) from error
        except DAMAGE as error:
            raise damaged_shard(path, str(error)) from error
        self._fields: dict[str, list[str]] = {}
        for key in self._file.keys():  # noqa: SIM118 - a handle is no dict
            clip_id, _, field = key.partition("/")
            self._fields.setdefault(clip_id, []).append(field)

    def tensors(self, clip_id: str) -> dict[str, torch.Tensor]:
        """Read the tensors of one clip, by field."""
        if clip_id not in self._fields:
            raise damaged_shard(self.path, f"clip {clip_id} is missing")
        try:
            return {
                name: self._file.get_tensor(f"{clip_id}/{name}") for name in self._fields[clip_id]
            }
        except DAMAGE as error:
            raise damaged_shard(self.path, str(error)) from error

    def clip(self, row: IndexRow) -> Clip:
        """Read the clip of an index row.

        Raises:
            InputError: Its tensors are missing, or not those of such a clip.
        """
        try:
            return clip_from_tensors(row, self.tensors(row.clip_id))
        except ValueError as error:
            raise damaged_shard(self.path, f"clip {row.clip_id}: {error}") from error


def damaged_shard(path: Path, detail: str) -> InputError:
    """Return the error that names a shard which cannot be trusted, and what to do about it."""
    return InputError(
        f"{path} must be an unchanged shard, got a damaged or missing one ({detail}).",
        hint=f"Delete {path.name} and run the same `dancelcm preprocess` again: it fills the gap.",
    )


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of `folder`, and of its parts, in the order they were cut."""
    return sorted(
        [*folder.glob("shard-*.safetensors"), *folder.glob(f"{PARTS}/shard-*.safetensors")]
    )


def part_name(part: int, parts: int) -> str:
    """Name the folder that holds share `part` (from 1) of `parts` of a larger shard folder."""
    return f"part-{part:05d}-of-{parts:05d}"


def read_index(folder: Path) -> list[IndexRow]:
    """Return the complete rows of `index.jsonl`, one part after the other.

    Raises:
        InputError: The rows have other columns.
    """
    path = folder / "index.jsonl"
    parts = _parts(folder)
    try:
        rows = [IndexRow.from_json(row) for row in read_rows(path)]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} must have the columns of format {FORMAT_VERSION}, got others ({error}).",
            hint=f"Delete {folder} and run `dancelcm preprocess` again.",
        ) from None
    for part in parts:
        rows += [replace(row, shard=f"{part.name}/{row.shard}") for row in read_index(part)]
    return rows


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return `manifest.json` of a shard folder, or the one that all its parts share.

    Raises:
        InputError: It is missing, damaged or of another format version; a part is missing, or was
            made with other settings.
    """
    parts = _parts(folder)
    if not parts:
        return _read_manifest(folder)
    manifests = [_read_manifest(part) for part in parts]
    for part, manifest in zip(parts, manifests, strict=True):
        if _binding(manifest) != _binding(manifests[0]):
            raise InputError(
                f"All parts of {folder} must be made with the same settings, got others in"
                f" {part.name}.",
                hint=f"Delete {part} and run its `dancelcm preprocess --shard` again.",
            )
    return manifests[0]


def _binding(manifest: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key not in INFORMATIVE_KEYS}


def _parts(folder: Path) -> list[Path]:
    """Return the parts of `folder`; none if it is an ordinary shard folder."""
    parts = sorted(folder.glob(PARTS))
    names = {path.name for path in parts}
    for total in sorted({int(name.rpartition("-")[2]) for name in names}):
        expected = {part_name(part, total) for part in range(1, total + 1)}
        if names != expected:
            raise InputError(
                f"{folder} must hold {total} parts, got {len(names)}:"
                f" {min(expected ^ names)} is missing or does not belong there.",
                hint="Run `dancelcm preprocess --shard I/N` for every I from 1 to N.",
            )
    return parts


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    remedy = f"Make it with `dancelcm preprocess VIDEOS --output {folder}`."
    if not path.is_file():
        raise InputError(f"{folder} must be a shard folder, but it has no manifest.json.", remedy)
    try:
        manifest = read_json(path)
        version = manifest["format_version"]
    except (ValueError, KeyError):
        raise InputError(f"{path} must be the manifest of a shard folder.", remedy) from None
    if version != FORMAT_VERSION:
        raise InputError(
            f"The format version of {folder} must be {FORMAT_VERSION}, got {version}.",
            hint="Run `dancelcm preprocess` again with this version of dancelcm.",
        )
    return manifest
