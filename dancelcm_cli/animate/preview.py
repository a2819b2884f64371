"""The contact sheet: does the dance fit the person? Answered before the network is asked.

Left the picture with its skeleton, and its pose as the model gets it. Then moments of the dance:
above the driving frame with its skeleton, below the fitted pose, over the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from dancelcm_cli.animate.people import Keypoints
from dancelcm_cli.animate.posing import Posing, shown_size
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.perception.drawing import draw_pose

CELL_HEIGHT = 384  # pixels
LABEL_HEIGHT = 20  # pixels
GAP = 8  # pixels between cells
MOMENTS = 6  # of the dance that are shown
DIMMED = 0.4  # brightness of the picture behind a fitted pose
DARK, LIGHT = (32, 32, 32), (224, 224, 224)


@dataclass(frozen=True)
class Column:
    """Two cells `(CELL_HEIGHT, W, 3)` of the sheet, one above the other, and what they show."""

    label: str
    above: Frames
    below: Frames


def draw_alignment(image: Frames, posing: Posing) -> Frames:
    """Return the contact sheet `(H, W, 3)` of the picture `image` `(H, W, 3)` and its dance."""
    motion = posing.motion
    numbers = np.linspace(0, motion.num_frames - 1, min(MOMENTS, motion.num_frames)).round()
    moments = numbers.astype(int).tolist()
    height, width = shown_size(image, posing.size, posing.fit)
    fitted_size = (CELL_HEIGHT, round(CELL_HEIGHT * width / height))
    picture = fit_frame(fit_frame(image, *posing.size, posing.fit), *fitted_size, "squash")
    behind = (picture * DIMMED).astype(np.uint8)
    reference = fit_frame(posing.reference_pose, *fitted_size, "squash")
    columns = [Column("picture", _with_skeleton(image, posing.keypoints), reference)]
    frames, poses = motion.frames(moments), posing.poses(moments)
    for number, frame, pose in zip(moments, frames, poses, strict=True):
        skeleton = None if motion.keypoints is None else motion.keypoints[number]
        label = f"{number / float(motion.fps):.2f} s, frame {motion.indices[number]}"
        fitted = _over(behind, fit_frame(pose, *fitted_size, "squash"))
        columns.append(Column(label, _with_skeleton(frame, skeleton), fitted))
    return _sheet(columns)


def _with_skeleton(frame: Frames, keypoints: Keypoints | None) -> Frames:
    """Return a frame at a cell's height, with the pose drawn into it where it is known."""
    width = max(1, round(CELL_HEIGHT * frame.shape[1] / frame.shape[0]))
    cell = fit_frame(frame, CELL_HEIGHT, width, "squash")
    return cell if keypoints is None else _over(cell, draw_pose(keypoints, CELL_HEIGHT, width))


def _over(picture: Frames, pose: Frames) -> Frames:
    """Return the picture with a drawn pose on it: where nothing is drawn it shines through."""
    ink = pose.max(axis=-1, keepdims=True) / 255
    mixed: Frames = (picture * (1 - ink) + pose).clip(0, 255).astype(np.uint8)
    return mixed


def _sheet(columns: Sequence[Column]) -> Frames:
    widths = [max(column.above.shape[1], column.below.shape[1]) for column in columns]
    size = (sum(widths) + GAP * (len(columns) + 1), 2 * CELL_HEIGHT + LABEL_HEIGHT + 2 * GAP)
    sheet = Image.new("RGB", size, DARK)
    draw, left = ImageDraw.Draw(sheet), GAP
    for column, width in zip(columns, widths, strict=True):
        draw.text((left, GAP // 2), column.label, LIGHT)
        for cell, top in ((column.above, 0), (column.below, CELL_HEIGHT + GAP)):
            middle = left + (width - cell.shape[1]) // 2
            sheet.paste(Image.fromarray(cell), (middle, LABEL_HEIGHT + top))
        left += width + GAP
    return np.array(sheet)
