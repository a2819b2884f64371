"""Is a shard folder what was written? Every clip is read again and its hash compared."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.data.clips import IndexRow, hash_tensors
from dancelcm_cli.data.shard_files import Shard, read_index, read_manifest, shard_paths
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import Progress


@dataclass(frozen=True)
class Damage:
    """A clip, or a whole shard, that cannot be trusted."""

    shard: str  # file in the folder
    clip_id: str  # empty: the shard as such
    detail: str


@dataclass(frozen=True)
class Verification:
    """What was read, and what of it is damaged."""

    shards: int
    clips: int
    damage: tuple[Damage, ...]

    @property
    def damaged_shards(self) -> list[str]:
        """The files to make anew, each once."""
        return sorted({damage.shard for damage in self.damage})


def verify_shards(folder: Path, progress: Progress) -> Verification:
    """Read all shards of `folder` and compare every clip with its hash in the index.

    Raises:
        InputError: It is no shard folder, or its index cannot be read.
    """
    read_manifest(folder)
    listed: dict[str, list[IndexRow]] = defaultdict(list)
    for path in shard_paths(folder):
        listed[path.relative_to(folder).as_posix()] = []
    rows = read_index(folder)
    for row in rows:
        listed[row.shard].append(row)
    damage = [
        found
        for name in progress.track(sorted(listed), "Verifying", len(listed))
        for found in _damage_of(folder, name, listed[name])
    ]
    return Verification(len(listed), len(rows), tuple(damage))


def _damage_of(folder: Path, name: str, rows: list[IndexRow]) -> list[Damage]:
    """Return what is wrong with the shard `name`, which should hold the clips `rows`."""
    try:
        shard = Shard(folder / name)
    except InputError as error:
        return [Damage(name, "", error.message)]
    damage = []
    if [row.sha256 for row in shard.rows] != [row.sha256 for row in rows]:
        detail = f"it lists {len(shard.rows)} clips, index.jsonl lists others ({len(rows)})"
        damage.append(Damage(name, "", detail))
    for row in rows:
        try:
            intact = hash_tensors(shard.tensors(row.clip_id)) == row.sha256
        except InputError as error:
            damage.append(Damage(name, row.clip_id, error.message))
            continue
        if not intact:
            damage.append(Damage(name, row.clip_id, "its hash is another one"))
    return damage
