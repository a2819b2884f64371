"""Frames with the skeleton and the face box that were found in them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from dancelcm_cli.data.skipped import THUMBNAIL_QUALITY, THUMBNAIL_SIDE
from dancelcm_cli.perception.drawing import draw_pose
from dancelcm_cli.perception.face import FaceCrop
from dancelcm_cli.preprocess.filters import Frames, Keypoints

FACE = (255, 220, 0)


def marked(frame: Frames, pose: Keypoints, face: FaceCrop | None) -> Frames:
    """Return a frame (H, W, 3) with its pose (134, 3) and face box."""
    height, width = frame.shape[:2]
    skeleton = draw_pose(pose, height, width)
    picture = Image.fromarray(np.where(skeleton.any(axis=-1, keepdims=True), skeleton, frame))
    if face is not None:
        thickness = max(1, height // 200)
        ImageDraw.Draw(picture).rectangle(face.box, outline=FACE, width=thickness)
    return np.array(picture)


def marked_thumbnail(frame: Frames, pose: Keypoints, face: FaceCrop | None) -> bytes:
    """Return the same as a small JPEG."""
    picture = Image.fromarray(marked(frame, pose, face))
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = BytesIO()
    picture.save(file, format="JPEG", quality=THUMBNAIL_QUALITY)
    return file.getvalue()
