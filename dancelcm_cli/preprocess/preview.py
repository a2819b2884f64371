"""One annotated video that shows what preprocessing would see and do, before the costly part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dancelcm_cli.config.schema import Device, PreprocessConfig
from dancelcm_cli.core.device import require_device
from dancelcm_cli.data.detector_weights import detector_of
from dancelcm_cli.data.footage import open_footage
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.face import FaceCrop, FaceCropper
from dancelcm_cli.preprocess.filters import Frames, Keypoints, Rejection
from dancelcm_cli.preprocess.marking import marked
from dancelcm_cli.preprocess.poses import PoseFinder
from dancelcm_cli.preprocess.screening import Screened, screen_windows
from dancelcm_cli.preprocess.stopwatch import Stopwatch
from dancelcm_cli.preprocess.windows import frames_of, plan_windows
from dancelcm_cli.progress import Progress

KEPT = (60, 220, 60)  # colours of captions
LEFT_OUT = (255, 120, 110)
FONT_SHARE = 0.04  # height of the text, in frame heights
MIN_FONT = 10  # pixels
LINES, LINE_HEIGHT = 3, 1.3  # of the strip; in font sizes


@dataclass(frozen=True)
class Preview:
    """What a preview shows."""

    path: Path
    verdicts: dict[str, int]  # how many parts of the video are "kept", or left out for a reason


def preview_video(
    video: Path,
    output: Path,
    config: PreprocessConfig,
    progress: Progress,
    device: Device = "auto",
) -> Preview:
    """Write `video` with skeleton, face box and each window's verdict; nothing is encoded.

    The pose detector runs on `device`, if it can.

    Raises:
        InputError: The video cannot be read, or has no annotation where one is asked for;
            `output` is the video itself, or names no file; the device is not there.
    """
    _require_output(video, output)
    footage = open_footage(video, config.folder_fps)
    detector = detector_of(config.pose_detector)
    poses = PoseFinder(config, detector, require_device(device)).of_video(footage)
    plan = plan_windows(footage.times, footage.fps, config.num_frames, config.frame_stride)
    windows = [*plan.windows, plan.tail] if plan.tail else plan.windows
    frames = footage.frames(frames_of(windows))
    parts = screen_windows(frames, windows, poses, config, Stopwatch())
    verdicts: Counter[str] = Counter()

    def pictures() -> Iterator[Frames]:
        faces = FaceCropper()
        for part in progress.track(parts, "Previewing", len(windows)):
            verdicts[part.rejection.reason if part.rejection else "kept"] += 1
            yield from _annotated(part, faces, config.face_size)

    write_video(output, pictures(), plan.fps)
    return Preview(output, dict(sorted(verdicts.items())))


def _require_output(video: Path, output: Path) -> None:
    if not output.name:
        raise InputError(
            f"--output must name a video, got {output}.", hint="Type --output preview.mp4"
        )
    if output.resolve() == video.resolve():
        raise InputError(
            f"{video} must not be replaced by what is made of it.",
            hint="Choose another --output.",
        )


def _annotated(part: Screened, faces: FaceCropper, face_size: int) -> Iterator[Frames]:
    for frame, pose in zip(part.frames, part.keypoints, strict=True):
        face = faces.crop(frame, face_size, pose)
        yield annotate_frame(frame, pose, face, f"{part.window}", part.rejection)


def annotate_frame(
    frame: Frames,
    pose: Keypoints,
    face: FaceCrop | None,
    caption: str,
    rejection: Rejection | None,
) -> Frames:
    """Return a frame (H, W, 3) with its pose (134, 3) and face box, under a strip of three lines.

    The strip tells what it is (`caption`), whether it is kept, and if not, why.
    """
    height, width = frame.shape[:2]
    size = max(MIN_FONT, round(FONT_SHARE * height))
    strip = Image.new("RGB", (width, round(LINES * LINE_HEIGHT * size)))
    verdict = ["kept"] if rejection is None else [rejection.reason, rejection.detail]
    font, colour = ImageFont.load_default(size), KEPT if rejection is None else LEFT_OUT
    for line, text in enumerate([caption, *verdict]):
        place = (size // 2, round(line * LINE_HEIGHT * size))
        ImageDraw.Draw(strip).text(place, text, fill=colour, font=font)
    return np.concatenate([np.array(strip), marked(frame, pose, face)])
