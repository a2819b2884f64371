"""What was read and encoded goes into the shard folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from dancelcm_cli.data.clips import Clip
from dancelcm_cli.data.shards import ShardWriter
from dancelcm_cli.preprocess.jobs import LeftOut, Reading
from dancelcm_cli.preprocess.stopwatch import Stopwatch


@dataclass
class Recorder:
    """Stores readings, which must come in the order of their jobs.

    Attributes:
        num_faceless: How many of the clips that were made show no face.
        watch: What each stage took, summed over the processes.
        devices: What the pose detector ran on.
    """

    writer: ShardWriter
    num_faceless: int = 0
    watch: Stopwatch = field(default_factory=Stopwatch)
    devices: set[str] = field(default_factory=set)
    _failed: str | None = None  # the source that ended early

    def record(self, reading: Reading) -> None:
        """Store clips, and list what is left out."""
        job = reading.job
        if job.name != self._failed:  # after a failure the rest of a video is not to be trusted
            self._store(reading)
        if job.last:
            if job.sha256 is not None:
                self.writer.finish(job.name, job.sha256)
            self._failed = None

    def _store(self, reading: Reading) -> None:
        name = reading.job.name
        for part in reading.parts:
            if isinstance(part, Clip):
                self.writer.add(part)
                self.num_faceless += part.latents is not None and part.face_latents is None
            elif isinstance(part, LeftOut):
                detail = f"{part.window}: {part.rejection.detail}"
                self.writer.skip(name, part.rejection.reason, detail, part.span, part.frame)
        if reading.error:
            self.writer.skip(name, "unreadable", reading.error)
            self._failed = name
        self.watch.add(reading.watch)
        self.devices.add(reading.device)
