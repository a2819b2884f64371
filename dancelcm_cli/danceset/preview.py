"""A contact sheet: what a dance set looks like at a glance."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.video import iter_frames, probe_video
from dancelcm_cli.perception.drawing import draw_pose
from dancelcm_cli.perception.keypoints import read_annotation

COLUMNS, ROWS = 6, 4
TILE_HEIGHT = 288  # pixels


def write_contact_sheet(path: Path, videos: list[Path]) -> None:
    """Write a picture of up to 24 of `videos`, evenly chosen: a frame of each beside its pose."""
    count = min(len(videos), COLUMNS * ROWS)
    chosen = [videos[index * len(videos) // count] for index in range(count)]
    tiles = [_tile(video) for video in chosen]
    columns = min(COLUMNS, count)
    empty = np.zeros_like(tiles[0])
    tiles += [empty] * (-count % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    with atomic_path(path) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary)


def _tile(video: Path) -> NDArray[np.uint8]:
    info = probe_video(video)
    middle = info.num_frames // 2
    frame = next(iter_frames(video, [middle]))
    keypoints = read_annotation(video.with_suffix(".npz"), info.height, info.width)[middle]
    size = (round(TILE_HEIGHT * info.width / info.height), TILE_HEIGHT)
    pair = [frame, draw_pose(keypoints, info.height, info.width)]
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pair]
    return np.asarray(np.hstack(small), np.uint8)
