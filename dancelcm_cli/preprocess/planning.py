"""What is to be read of each source, in the order in which the clips are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from dancelcm_cli.config.schema import PreprocessConfig
from dancelcm_cli.data.footage import Footage
from dancelcm_cli.data.shards import ShardWriter, make_clip_id
from dancelcm_cli.perception.keypoints import annotation_path
from dancelcm_cli.preprocess.filters import Rejection
from dancelcm_cli.preprocess.jobs import Candidate, Job, Survey
from dancelcm_cli.preprocess.windows import Window, plan_windows

HASH_DIGITS = 8  # that tell two videos of one name apart
JOB_FRAMES = 96  # about so many frames are read at once: they are in memory together


class Planner:
    """Chooses what is to be done, and cuts it into jobs.

    A source is known by the hash of its content: what is done is not done again, and a copy under
    another name is a `duplicate`. Another video under a known name gets digits of its hash added.

    Attributes:
        num_new: How many sources there were to be worked on.
    """

    def __init__(self, writer: ShardWriter, config: PreprocessConfig) -> None:
        self.num_new = 0
        self._stored, self._config = writer, config
        self._done = dict(writer.hashes)
        self._owners = {sha256: name for name, sha256 in writer.hashes.items() if sha256}
        self._copies = {row.source for row in writer.skipped if row.reason == "duplicate"}

    def sift(
        self, candidates: Iterable[Candidate], advance: Callable[[str], None]
    ) -> Iterator[Candidate]:
        """Yield those that are not done, under the name of their clips; `advance` past the rest."""
        for candidate in candidates:
            name, sha256 = candidate.source.name, candidate.sha256
            if sha256 is None:
                self.num_new += 1
                yield replace(candidate, name=name)
                continue
            if name in self._done and self._done[name] not in (None, sha256):
                name = _name_with_hash(name, sha256)
            owner = self._owners.get(sha256)
            if name in self._done or (owner is not None and name in self._copies):
                advance(name)
                continue
            self.num_new += 1
            if owner is None:
                self._done[name], self._owners[sha256] = sha256, name
            yield replace(candidate, name=name, owner=owner)

    def jobs(self, surveys: Iterable[Survey]) -> Iterator[Job]:
        """Yield what is to be read of each survey, at least one job."""
        for survey in surveys:
            candidate, footage = survey.candidate, survey.footage
            name, sha256, owner = candidate.name, candidate.sha256, candidate.owner
            if footage is None or sha256 is None:
                yield Job(name, sha256, error=survey.error)
            elif owner is not None:
                # Never finished: should the owner's shard be lost, the copy can stand in for it.
                yield _whole(name, None, footage, Rejection("duplicate", f"a copy of {owner}"))
            elif self._lacks_annotation(footage):
                detail = f"{footage.path.absolute().stem}.npz is not beside it"
                yield _whole(name, sha256, footage, Rejection("no_keypoints", detail))
            else:
                yield from self._cut(name, sha256, footage)

    def _lacks_annotation(self, footage: Footage) -> bool:
        return self._config.pose_detector == "annotation" and not annotation_path(footage.path)

    def _cut(self, name: str, sha256: str, footage: Footage) -> Iterator[Job]:
        """Yield the windows of a video that are not stored yet, and what is left at its end."""
        config = self._config
        plan = plan_windows(footage.times, footage.fps, config.num_frames, config.frame_stride)
        windows = [w for w in plan.windows if make_clip_id(name, w.start) not in self._stored]
        if plan.tail is not None:
            windows.append(plan.tail)
        size = max(1, JOB_FRAMES // config.num_frames)
        for start in range(0, max(len(windows), 1), size):
            part, is_last = tuple(windows[start : start + size]), start + size >= len(windows)
            yield Job(name, sha256, footage, plan.fps, part, last=is_last)


def _whole(name: str, sha256: str | None, footage: Footage, rejection: Rejection) -> Job:
    everything = Window(0, tuple(range(footage.num_frames)))
    return Job(name, sha256, footage, 0.0, (everything,), rejection)


def _name_with_hash(name: str, sha256: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}~{sha256[:HASH_DIGITS]}{path.suffix}"))
