"""Shard folders: what `preprocess` writes and `train` reads.

    recipe.toml                 the resolved recipe that made the folder
    manifest.json               format version, settings and model the clips depend on
    shard-00000.safetensors     tensors under "<clip_id>/<field>"; index rows in its metadata
    index.jsonl                 one row a clip
    skipped.jsonl               one row for everything left out, with the reason
    skipped/                    a thumbnail of it, where a frame could be read
    report.html                 what was kept and what was left out, to be looked at
    sources.jsonl               one row a finished video, with the hash of its content
    .pending/                   clips that wait for their shard; gone once the folder is complete

A folder that several machines fill holds one such folder for each, `part-00001-of-00008` and so on,
and is read as one.

Each clip is on the disk as soon as it is added. Shards are cut from the waiting clips in the order
they came, so a run that was killed and resumed writes the same bytes as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType, TracebackType

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.data.atomic import remove_temporaries, write_json_atomic, write_text_atomic
from dancelcm_cli.data.claim import claimed
from dancelcm_cli.data.clips import (
    Clip,
    IndexRow,
    clip_tensors,
    describe_clip,
    hash_tensors,
    make_clip_id,
)
from dancelcm_cli.data.jsonl import append_rows, read_rows, rewrite_rows
from dancelcm_cli.data.shard_files import (
    FORMAT_VERSION,
    INFORMATIVE_KEYS,
    Shard,
    damaged_shard,
    read_index,
    read_manifest,
    save_shard,
    shard_paths,
)
from dancelcm_cli.data.skipped import Skipped, read_skipped, save_thumbnail
from dancelcm_cli.errors import InputError
from dancelcm_cli.plain_files import refuse_links

__all__ = ["FORMAT_VERSION", "Clip", "IndexRow", "ShardReader", "ShardWriter", "make_clip_id"]


class ShardWriter:
    """Fills a shard folder, and continues one that an earlier run began.

        with ShardWriter(folder, recipe_toml, manifest, shard_bytes) as writer:
            for source in sources - writer.done:
                writer.add(clip)                                   # as often as needed
                writer.skip(source, "no_person", "frames 24 to 47", (2.0, 4.0), frame)
                writer.finish(source, sha256)

    `manifest` must hold everything the clips depend on: a folder made with another one is refused.
    If the block raises, what was added stays on the disk for the next run.
    """

    def __init__(
        self, folder: Path, recipe_toml: str, manifest: Mapping[str, object], shard_bytes: int
    ) -> None:
        self.folder = folder
        self.shard_bytes = shard_bytes
        if folder.is_dir():
            refuse_links(folder)
        with ExitStack() as opening:
            opening.enter_context(claimed(folder))
            self._claim(recipe_toml, manifest)
            self._recover()
            self._open = opening.pop_all()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._open:
            if kind is None:
                self._cut_shard()
                self._pending_folder.rmdir()

    @property
    def done(self) -> frozenset[str]:
        """The sources that need no more work: all their clips are written or skipped."""
        return frozenset(self._done)

    @property
    def hashes(self) -> Mapping[str, str | None]:
        """The content hash of each source that is done; None where none was given."""
        return MappingProxyType(self._done)

    @property
    def num_clips(self) -> int:
        """How many clips are stored, those of earlier runs included."""
        return len(self._stored)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The rows of `skipped.jsonl`: what was left out by this and earlier runs."""
        return tuple(self._skipped)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._stored

    def add(self, clip: Clip) -> None:
        """Store `clip`, unless an interrupted run has stored it already."""
        if clip.clip_id in self._stored:
            return
        row = describe_clip(clip, shard="")
        path = self._pending_folder / f"{len(self._stored):08d}.safetensors"
        save_shard(path, {row.clip_id: clip_tensors(clip)}, [row])
        self._enqueue(path, row)
        if self._pending_bytes >= self.shard_bytes:
            self._cut_shard()

    def skip(
        self,
        source: str,
        reason: str,
        detail: str = "",
        span: tuple[float, float] | None = None,
        frame: NDArray[np.uint8] | None = None,
    ) -> None:
        """Record that `source`, or a part of it, was left out.

        Args:
            source: The video.
            reason: Why, in one word.
            detail: Which part it is, and the figure that decided.
            span: Start and end of that part in seconds.
            frame: A frame of it (H, W, 3) uint8 RGB, kept as a thumbnail; needs a span.
        """
        start, end = span or (None, None)
        thumbnail = None
        if start is not None and frame is not None:
            thumbnail = f"skipped/{make_clip_id(source, round(1000 * start))}.jpg"
        row = Skipped(source, reason, detail, start, end, thumbnail)
        if row in self._skipped:
            return
        if thumbnail is not None and frame is not None:
            save_thumbnail(self.folder / thumbnail, frame)
        self._skipped[row] = None
        append_rows(self.folder / "skipped.jsonl", [asdict(row)])

    def finish(self, source: str, sha256: str | None = None) -> None:
        """Record that `source`, whose content has that hash, needs no more work."""
        append_rows(self.folder / "sources.jsonl", [_finished_row(source, sha256)])
        self._done[source] = sha256

    def _claim(self, recipe_toml: str, manifest: Mapping[str, object]) -> None:
        """Make the folder ours, or check that it was made with the same settings."""
        path = self.folder / "manifest.json"
        if path.exists():
            earlier = read_manifest(self.folder)
            fixed = set(earlier) | set(manifest)
            fixed -= INFORMATIVE_KEYS | {"format_version"}
            changed = sorted(k for k in fixed if earlier.get(k) != _as_json(manifest.get(k)))
            if changed:
                raise InputError(
                    f"{self.folder} must have been made with the same settings,"
                    f" got other values of {', '.join(changed)}.",
                    hint="Choose another --output, or keep that folder's settings by --append.",
                )
            return
        own = "recipe.toml"  # all that a run leaves which was killed before the manifest was there
        if any(not e.name.startswith(".") and e.name != own for e in self.folder.iterdir()):
            raise InputError(
                f"{self.folder} must be empty or a shard folder, got other files in it.",
                hint="Choose another --output.",
            )
        write_text_atomic(self.folder / own, recipe_toml)
        write_json_atomic(path, {"format_version": FORMAT_VERSION, **manifest})

    def _recover(self) -> None:
        """Bring ledgers, shards and waiting clips back in step after any kill or removal."""
        remove_temporaries(self.folder)
        self._pending_folder = self.folder / ".pending"
        self._pending_folder.mkdir(exist_ok=True)
        remove_temporaries(self._pending_folder)
        remove_temporaries(self.folder / "skipped")
        recorded = read_index(self.folder)
        rows = [row for path in shard_paths(self.folder) for row in Shard(path).rows]
        if rows != recorded:
            rewrite_rows(self.folder / "index.jsonl", map(asdict, rows))
        self._stored = {row.clip_id for row in rows}
        self._pending: list[tuple[Path, IndexRow]] = []
        self._pending_bytes = 0
        for path in sorted(self._pending_folder.iterdir()):
            row = _only_row(path)
            if row.clip_id in self._stored:  # killed between writing the shard and tidying up
                path.unlink()
            else:
                self._enqueue(path, row)
        self._skipped = dict.fromkeys(read_skipped(self.folder))  # an ordered set
        lost = {row.source for row in recorded if row.clip_id not in self._stored}
        finished = _read_finished(self.folder / "sources.jsonl")
        self._done = {name: sha256 for name, sha256 in finished.items() if name not in lost}
        if lost:
            kept = [_finished_row(source, sha256) for source, sha256 in self._done.items()]
            rewrite_rows(self.folder / "sources.jsonl", kept)

    def _enqueue(self, path: Path, row: IndexRow) -> None:
        self._stored.add(row.clip_id)
        self._pending.append((path, row))
        self._pending_bytes += path.stat().st_size

    def _cut_shard(self) -> None:
        """Make one shard of all waiting clips: visible by its rename, then listed, then tidied."""
        if not self._pending:
            return
        taken = {path.name for path in shard_paths(self.folder)}
        names = (f"shard-{number:05d}.safetensors" for number in range(len(taken) + 1))
        name = next(name for name in names if name not in taken)
        rows = [replace(row, shard=name) for _, row in self._pending]
        clips = {row.clip_id: Shard(path).tensors(row.clip_id) for path, row in self._pending}
        save_shard(self.folder / name, clips, rows)
        append_rows(self.folder / "index.jsonl", map(asdict, rows))
        for path, _ in self._pending:
            path.unlink()
        self._pending.clear()
        self._pending_bytes = 0


class ShardReader:
    """The clips of a shard folder, read one at a time: `reader[i]` is a `Clip`.

    Attributes:
        manifest: What `preprocess` noted about settings and model.
        rows: The `IndexRow` of each clip, in the same order as the clips.

    Raises:
        InputError: The folder is missing, empty, incomplete or of an unknown format version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.rows = read_index(folder)
        self._shards: dict[str, Shard] = {}
        if not self.rows:
            raise InputError(
                f"{folder} must hold clips, got none.",
                hint="See its skipped.jsonl for the reasons, then run `dancelcm preprocess` again.",
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Clip:
        row = self.rows[index]
        return self._shard(row).clip(row)

    def verify(self) -> None:
        """Compare every clip with the hash in the index.

        Raises:
            InputError: A clip is damaged; the message names it and its shard.
        """
        for row in self.rows:
            if hash_tensors(self._shard(row).tensors(row.clip_id)) != row.sha256:
                raise damaged_shard(self.folder / row.shard, f"clip {row.clip_id} has another hash")

    def _shard(self, row: IndexRow) -> Shard:
        if row.shard not in self._shards:
            self._shards[row.shard] = Shard(self.folder / row.shard)
        return self._shards[row.shard]


def _finished_row(source: str, sha256: str | None) -> dict[str, str]:
    return {"source": source} if sha256 is None else {"source": source, "sha256": sha256}


def _read_finished(path: Path) -> dict[str, str | None]:
    """Return the hash of each finished source.

    Raises:
        InputError: A row is none of `_finished_row`.
    """
    rows = read_rows(path)
    for row in rows:
        if not isinstance(row.get("source"), str) or not isinstance(row.get("sha256", ""), str):
            raise InputError(
                f"{path} must name a finished source in each row, got {row}.",
                hint=f"Delete that row, or {path}: then all sources are looked at again.",
            )
    return {row["source"]: row.get("sha256") for row in rows}


def _only_row(path: Path) -> IndexRow:
    rows = Shard(path).rows
    if len(rows) != 1:
        raise damaged_shard(path, f"it holds {len(rows)} clips")
    return rows[0]


def _as_json(value: object) -> object:
    """Return `value` as it reads back from a JSON file, tuples as lists."""
    return json.loads(json.dumps(value))
