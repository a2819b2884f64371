"""One video after the other: each becomes clips, or rows of what was left out and why."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.data.footage import Footage, footage_sha256, open_footage
from dancelcm_cli.data.shards import ShardWriter, make_clip_id
from dancelcm_cli.errors import InputError
from dancelcm_cli.preprocess.encoding import ClipMaker
from dancelcm_cli.preprocess.filters import Rejection
from dancelcm_cli.preprocess.poses import PoseFinder
from dancelcm_cli.preprocess.screening import screen_footage
from dancelcm_cli.preprocess.sources import Source
from dancelcm_cli.preprocess.windows import Window, plan_windows

HASH_DIGITS = 8  # that tell two videos of one name apart


class Worker:
    """Turns sources into the content of a shard folder.

    A source is known by the hash of its content: what is done is not done again, and a copy under
    another name is a `duplicate`. Another video under a known name gets digits of its hash added.

    Attributes:
        num_new: How many sources were worked on.
        num_faceless: How many of the clips that were made show no face.
    """

    def __init__(self, writer: ShardWriter, maker: ClipMaker, poses: PoseFinder) -> None:
        self.num_new = self.num_faceless = 0
        self._writer, self._maker, self._poses = writer, maker, poses
        self._config = maker.config
        self._owners = {sha256: name for name, sha256 in writer.hashes.items() if sha256}
        self._copies = {row.source for row in writer.skipped if row.reason == "duplicate"}

    def process(self, source: Source) -> None:
        """Do what is left to do for one source."""
        try:
            sha256 = footage_sha256(source.path)
        except InputError as error:
            self._writer.skip(source.name, "unreadable", error.message)
            return
        done, name = self._writer.hashes, source.name
        if name in done and done[name] not in (None, sha256):
            name = _name_with_hash(name, sha256)
        owner = self._owners.get(sha256)
        if name in done or (owner is not None and name in self._copies):
            return
        self.num_new += 1
        try:
            footage = open_footage(source.path, self._config.folder_fps)
            if owner is not None:
                # Never finished: should the owner's shard be lost, the copy can stand in for it.
                self._skip_whole(name, footage, Rejection("duplicate", f"a copy of {owner}"))
                return
            self._fill(name, footage)
        except InputError as error:  # in the middle of a video, the clips before it stay
            self._writer.skip(name, "unreadable", error.message)
        self._writer.finish(name, sha256)
        self._owners[sha256] = name

    def _fill(self, name: str, footage: Footage) -> None:
        """Store the clips of one video, and list what is left out of it."""
        config = self._config
        poses = self._poses.of_video(footage)
        if poses is None:
            detail = f"{footage.path.stem}.npz is not beside it"
            self._skip_whole(name, footage, Rejection("no_keypoints", detail))
            return
        plan = plan_windows(footage.times, footage.fps, config.num_frames, config.frame_stride)

        def is_new(window: Window) -> bool:
            return make_clip_id(name, window.start) not in self._writer

        for part in screen_footage(footage, plan, poses, config, is_new):
            if part.rejection is not None:
                middle = part.frames[len(part.frames) // 2]
                self._skip(name, footage, part.window, part.rejection, middle)
                continue
            clip = self._maker.make(name, plan.fps, part.window, part.frames, part.keypoints)
            self._writer.add(clip)
            self.num_faceless += clip.latents is not None and clip.face_latents is None

    def _skip_whole(self, name: str, footage: Footage, rejection: Rejection) -> None:
        whole = Window(0, tuple(range(footage.num_frames)))
        (middle,) = footage.frames([footage.num_frames // 2])
        self._skip(name, footage, whole, rejection, middle)

    def _skip(
        self,
        name: str,
        footage: Footage,
        window: Window,
        rejection: Rejection,
        frame: NDArray[np.uint8],
    ) -> None:
        detail = f"{window}: {rejection.detail}"
        self._writer.skip(name, rejection.reason, detail, span_of(footage, window), frame)


def span_of(footage: Footage, window: Window) -> tuple[float, float]:
    """Return when a window starts and ends in its footage, in seconds to the millisecond."""
    start, last = (float(footage.times[window.indices[place]]) for place in (0, -1))
    return round(start, 3), round(last + 1 / float(footage.fps), 3)


def _name_with_hash(name: str, sha256: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}~{sha256[:HASH_DIGITS]}{path.suffix}"))
