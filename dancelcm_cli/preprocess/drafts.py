"""From a window of frames and its keypoints to a clip that only has to be encoded."""

from __future__ import annotations

import numpy as np
import torch

from dancelcm_cli.config.schema import PreprocessConfig
from dancelcm_cli.data.clips import Clip, make_clip_id
from dancelcm_cli.data.fitting import fit_frame, fit_keypoints
from dancelcm_cli.perception.face import FaceCrop, FaceCropper
from dancelcm_cli.perception.keypoints import FACE, body_confidence
from dancelcm_cli.preprocess.filters import Keypoints
from dancelcm_cli.preprocess.jobs import Draft
from dancelcm_cli.preprocess.marking import marked_thumbnail
from dancelcm_cli.preprocess.motion import motion_mask
from dancelcm_cli.preprocess.screening import Screened


class Drafter:
    """Makes drafts by one setting.

    Args:
        config: The setting.
        cell: The autoencoder's reduction, in pixels; None where frames are stored as they are.
    """

    def __init__(self, config: PreprocessConfig, cell: int | None) -> None:
        self.config, self.cell = config, cell
        self._face_cropper = FaceCropper()

    def draft(self, source: str, fps: float, part: Screened) -> Draft:
        """Return the draft of a part of the video `source` that is to be a clip.

        Args:
            source: The video's name.
            fps: Frames per second of the part's frames.
            part: Frames and keypoints as they are in the video.
        """
        config, frames, keypoints = self.config, part.frames, part.keypoints
        size = (config.height, config.width)
        fitted = np.stack([fit_frame(frame, *size, config.fit) for frame in frames])
        points = fit_keypoints(keypoints, frames.shape[1:3], size, config.fit)
        best = choose_reference(keypoints)
        # The face comes from the video itself: after fitting it is a few pixels wide.
        face = self._face_cropper.crop(frames[best], config.face_size, keypoints[best])
        threshold, cell = config.motion_threshold, self.cell
        motion = None if cell is None else motion_mask(fitted, threshold, cell)
        clip = Clip(
            make_clip_id(source, part.window.start),
            source,
            fps,
            part.window.start,
            points,
            best,
            points[best],
            motion_mask=motion,
            thumbnail=_thumbnail(part, best, face),
            people=part.people,
            confidence=round(body_confidence(keypoints), 4),
            face_box=None if face is None else face.box,
        )
        return Draft(clip, fitted, face, frames[best])


def choose_reference(keypoints: Keypoints) -> int:
    """Return the index of the frame of (F, 134, 3) that shows the person best.

    That is the highest sum of the mean body score and the mean face score, so that a frame which
    shows the face wins over one from behind; of equals the first.
    """
    scores = [body_confidence(pose) + float(pose[FACE, 2].mean()) for pose in keypoints]
    return int(np.argmax(scores))


def _thumbnail(part: Screened, best: int, face: FaceCrop | None) -> torch.Tensor:
    """Return the bytes of a small JPEG of the reference frame, as a tensor to be stored."""
    jpeg = marked_thumbnail(part.frames[best], part.keypoints[best], face)
    return torch.frombuffer(bytearray(jpeg), dtype=torch.uint8)
