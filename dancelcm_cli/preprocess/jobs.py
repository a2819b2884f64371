"""What travels between the stages: all of it can be sent to another process or machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from dancelcm_cli.data.clips import Clip
from dancelcm_cli.data.footage import Footage
from dancelcm_cli.perception.face import FaceCrop
from dancelcm_cli.preprocess.filters import Frames, Rejection
from dancelcm_cli.preprocess.sources import Source
from dancelcm_cli.preprocess.stopwatch import Stopwatch
from dancelcm_cli.preprocess.windows import Window


@dataclass(frozen=True)
class Candidate:
    """A source that is known by the hash of its content."""

    source: Source
    sha256: str | None  # None where it could not be read
    error: str = ""  # why it could not
    name: str = ""  # what its clips are called by, once that is clear
    owner: str | None = None  # the source that has the same content


@dataclass(frozen=True)
class Survey:
    """What a first look at a candidate tells."""

    candidate: Candidate
    footage: Footage | None = None  # None where it cannot be decoded
    error: str = ""  # why it cannot


@dataclass(frozen=True)
class Job:
    """Some windows of one video; the jobs of a video follow each other."""

    name: str
    sha256: str | None
    footage: Footage | None = None
    fps: float = 0.0  # of the clips
    windows: tuple[Window, ...] = ()
    rejection: Rejection | None = None  # of all the windows, which need not be looked at then
    error: str = ""  # why the video cannot be read at all
    last: bool = True  # whether the video is done with it


@dataclass(frozen=True)
class LeftOut:
    """A part of a video that becomes no clip."""

    rejection: Rejection
    window: Window
    span: tuple[float, float]  # when it starts and ends, in seconds
    frame: Frames  # (H, W, 3), one of its frames


@dataclass(frozen=True)
class Draft:
    """A clip before anything is encoded."""

    clip: Clip  # its frames are still missing, and so are its latents and embeddings
    frames: Frames  # (F, H, W, 3) fitted to the clip's size
    face: FaceCrop | None
    photo: Frames  # (H, W, 3), the reference frame before it was fitted


@dataclass(frozen=True)
class Reading:
    """What became of a job's windows: drafts until they are encoded, clips from then on."""

    job: Job
    parts: tuple[Draft | LeftOut | Clip, ...] = ()
    error: str = ""  # what ended it early; what came before stays
    device: str = ""  # that the pose detector ran on, if it was needed
    watch: Stopwatch = field(default_factory=Stopwatch)  # what each stage took
